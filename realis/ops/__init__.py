"""Pure functions of images, frames and latents: resizing, filters, noise, JPEG and video codecs, wavelet, HOG."""
