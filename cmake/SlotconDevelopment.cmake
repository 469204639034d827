# What slotcon's own tests and examples are built with; nothing of it reaches a consumer.

include("${CMAKE_CURRENT_LIST_DIR}/SlotconPack.cmake")

# Stops with the command to run when a package is missing: slotcon_require(GTest libgtest-dev).
function(slotcon_require package debian_package)
  find_package(${package} QUIET)
  if(NOT ${package}_FOUND)
    message(FATAL_ERROR "slotcon: ${package} was not found, which its tests and examples need "
                        "(Debian or Ubuntu: sudo apt-get install ${debian_package})")
  endif()
endfunction()

option(SLOTCON_TEST_IMAGES "Test what needs libjpeg and libpng" ON)
if(SLOTCON_TEST_IMAGES OR SLOTCON_BUILD_EXAMPLES)
  slotcon_require(JPEG libjpeg-dev)
  slotcon_require(PNG libpng-dev)
endif()

# LibTorch's own interface to CUDA, its graphs for example, where this LibTorch has all of it.
if(SLOTCON_TORCH_CUDA)
  find_package(CUDAToolkit REQUIRED)
  set(library "${CMAKE_SHARED_LIBRARY_PREFIX}c10_cuda${CMAKE_SHARED_LIBRARY_SUFFIX}")
  add_library(slotcon_torch_cuda_interface INTERFACE)
  target_link_libraries(slotcon_torch_cuda_interface INTERFACE
                        slotcon::cuda CUDA::cudart "${SLOTCON_TORCH_ROOT}/lib/${library}")
endif()

add_library(slotcon_warnings INTERFACE)
target_compile_options(slotcon_warnings INTERFACE
                       "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wpedantic>")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # g++ 12 warns of std::string's own operator+ when it compiles C++20 (LibTorch 2.14 and newer).
  target_compile_options(slotcon_warnings INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>")
endif()

# What tests of memory are compiled with, where the compiler has it.
set(SLOTCON_SANITIZERS -fsanitize=address,undefined -fno-sanitize-recover=all)
include(CheckCXXSourceCompiles)
list(JOIN SLOTCON_SANITIZERS " " CMAKE_REQUIRED_FLAGS)
check_cxx_source_compiles("int main() {}" SLOTCON_HAS_SANITIZERS)
unset(CMAKE_REQUIRED_FLAGS)
if(NOT SLOTCON_HAS_SANITIZERS)
  set(SLOTCON_SANITIZERS "")
endif()

if(PROJECT_IS_TOP_LEVEL)
  # In so many words in compile_commands.json, as tools other than the compiler have other defaults.
  set(CMAKE_CXX_STANDARD 17)
  set(CMAKE_CXX_EXTENSIONS OFF)

  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")

  find_program(CCACHE ccache)
  if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    # What it must be told to keep files that use precompiled headers.
    set(CMAKE_CXX_COMPILER_LAUNCHER
        "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros "${CCACHE}")
    add_compile_options("$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>")
  endif()

  # A file that includes LibTorch takes over 1 GB to compile: no more of them at a time than fit.
  cmake_host_system_information(RESULT megabytes QUERY TOTAL_PHYSICAL_MEMORY)
  math(EXPR compilers "1 + ${megabytes} / 2000")
  set_property(GLOBAL PROPERTY JOB_POOLS compile=${compilers})
  set(CMAKE_JOB_POOL_COMPILE compile)
endif()
