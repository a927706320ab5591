"""Pictures: reading, writing, and kernels applied to them. The only room that knows Pillow."""
