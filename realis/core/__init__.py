"""What every room uses: errors, configuration, files, JSON records, tables, log, units. No torch, no video."""
