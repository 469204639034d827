// The CUDA kernels, compiled for the emulation and registered as slotcon::cuda registers them.
#include <slotcon/cuda_backend.cu>
