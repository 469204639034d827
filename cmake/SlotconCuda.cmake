# What slotcon::cuda needs in each project that uses it: the CUDA half of LibTorch, as the target
# slotcon::torch_cuda, and one CUDA runtime in a process, which is LibTorch's.

# nvcc's own default is the static runtime, a second one beside LibTorch's.
if(NOT DEFINED CMAKE_CUDA_RUNTIME_LIBRARY)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)
endif()

# Sets `out` to LibTorch's CUDA library if the libraries that it needs are there: a slim wheel has
# it without them, and a program linked with it would not start.
function(slotcon_find_torch_cuda out root)
  set(library "${root}/lib/${CMAKE_SHARED_LIBRARY_PREFIX}torch_cuda${CMAKE_SHARED_LIBRARY_SUFFIX}")
  file(GLOB cudnn "${root}/../nvidia/cudnn/lib/libcudnn.so*" "${root}/lib/libcudnn*.so*")
  if(EXISTS "${library}" AND cudnn)
    set(${out} "${library}" PARENT_SCOPE)
  else()
    set(${out} "" PARENT_SCOPE)
  endif()
endfunction()

if(NOT TARGET slotcon::torch_cuda)
  add_library(slotcon::torch_cuda INTERFACE IMPORTED GLOBAL)
  if(NOT TARGET torch)  # which has its own way to keep it
    slotcon_find_torch_cuda(SLOTCON_TORCH_CUDA "${SLOTCON_TORCH_ROOT}")
    if(SLOTCON_TORCH_CUDA)
      # It registers its kernels in static initialisers: no symbol refers to it, so keep it by force.
      target_link_options(slotcon::torch_cuda INTERFACE
                          "LINKER:--no-as-needed,${SLOTCON_TORCH_CUDA},--as-needed")
    else()
      message(STATUS "slotcon: this LibTorch is for the CPU alone, or lacks the CUDA libraries: "
                     "programs that link slotcon::cuda will have kernels and no CUDA tensors")
    endif()
  endif()
endif()

# slotcon::nccl is slotcon::distributed with NCCL between GPUs, for whoever links it. It exists where
# NCCL's header is found: beside a LibTorch wheel, in the toolkit or on the system.
find_package(CUDAToolkit QUIET)
find_path(SLOTCON_NCCL_INCLUDE_DIR nccl.h
          HINTS "${SLOTCON_TORCH_ROOT}/../nvidia/nccl/include" ${CUDAToolkit_INCLUDE_DIRS})
mark_as_advanced(SLOTCON_NCCL_INCLUDE_DIR)
if(SLOTCON_NCCL_INCLUDE_DIR AND CUDAToolkit_FOUND AND NOT TARGET slotcon::nccl)
  add_library(slotcon::nccl INTERFACE IMPORTED GLOBAL)
  target_compile_definitions(slotcon::nccl INTERFACE USE_C10D_NCCL)
  target_include_directories(slotcon::nccl SYSTEM INTERFACE
                             "${SLOTCON_NCCL_INCLUDE_DIR}" ${CUDAToolkit_INCLUDE_DIRS})
  target_link_libraries(slotcon::nccl INTERFACE slotcon::distributed slotcon::torch_cuda)
endif()
