"""Pure functions of images, frames and latents: resizing, filters, noise, codecs, wavelets, HOG, checks."""
