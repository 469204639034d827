# find_package(Torch) of a LibTorch without CUDA, for a machine where that of a CUDA wheel cannot
# work. Torch_DIR is the share/cmake/Torch of the LibTorch.
cmake_path(SET root NORMALIZE "${Torch_DIR}/../../..")
add_library(torch INTERFACE IMPORTED)
target_include_directories(
  torch INTERFACE "${root}/include" "${root}/include/torch/csrc/api/include")
target_link_libraries(torch INTERFACE "${root}/lib/libtorch_cpu.so" "${root}/lib/libc10.so")
set(TORCH_LIBRARIES torch)
set(Torch_FOUND TRUE)
