"""VideoGigaGAN (Xu et al., arXiv 2404.12388), trained by this repository, as no weights or code are public."""
