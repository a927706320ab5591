"""The named kernels as data: one row a kernel, its source beside it.

A new kernel is one `entry` in the file of its group. Sources in short:

- OpenCV: `getDerivKernels`, `getGaussianKernel` and impulse responses of version 5.0.
- scikit-image: `skimage/filters/edges.py` of version 0.26; its signs turned to correlation.
- ImageMagick: `MagickCore/morphology.c` and what version 6.9.11 prints with
  `-define morphology:showKernel=1`; turned to correlation where it stores the flipped matrix.
- Pillow: `PIL/ImageFilter.py` of version 13.
- libvips: `libvips/convolution/edge.c`. libgd: `src/gd_filter.c`, behind PHP's `imagefilter`.
- kornia: `kornia/filters/kernels.py`. fspecial: the MATLAB function's reference page.
- GIMP: manual, "Convolution Matrix". Wikipedia: "Kernel (image processing)" unless it says more.
- Setosa: the page "Image Kernels". Lode: Lode Vandevenne's tutorial "Image Filtering".
- Gonzalez & Woods: "Digital Image Processing", chapters 3 and 10.
- lecture: printed in university lectures on convolutional networks.
"""

from convcli.kernels.table.gradient import COMPASS, FREI_CHEN, GRADIENT, LINE, MAGNITUDES
from convcli.kernels.table.laplacian import LAPLACIAN, LOG
from convcli.kernels.table.sharpen import EMBOSS, SHARPEN
from convcli.kernels.table.smooth import BASIC, SMOOTH

KERNELS = (
    *BASIC,
    *SMOOTH,
    *SHARPEN,
    *GRADIENT,
    *COMPASS,
    *FREI_CHEN,
    *LAPLACIAN,
    *LOG,
    *LINE,
    *EMBOSS,
)
"""Every named kernel, in the order of lists."""

__all__ = ["KERNELS", "MAGNITUDES"]
