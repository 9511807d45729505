"""What people look at: sheets of crops, before and after."""
