"""Work in threads, worker processes and ranks. Imports core; of torch only ``torch.distributed``."""
