# Finds LibTorch and wraps it in the target slotcon::torch. Looked for in this order:
#
#   1. the target `torch`, when the surrounding project has called find_package(Torch)
#   2. Torch_DIR, Torch_ROOT, CMAKE_PREFIX_PATH (variable, then environment): an unpacked LibTorch,
#      the torch folder of a Python package, or the share/cmake in one of them
#   3. SLOTCON_TORCH_HINT: the LibTorch that an installed slotcon was built with
#   4. the torch package of Python3_EXECUTABLE or of the python3 in PATH (found, not imported)
#   5. a pinned wheel in a cache folder, installed there the first time (SlotconFetchTorch.cmake)
#
# Sets SLOTCON_TORCH_ROOT, the folder that holds LibTorch's include/ and lib/.
#
# find_package(Torch) is never called here: that of a CUDA wheel is a fatal error where there is no
# CUDA toolkit, and where there is one it enables CUDA and chooses GPU architectures for everybody.

if(TARGET slotcon::torch)
  return()
endif()
include("${CMAKE_CURRENT_LIST_DIR}/SlotconFetchTorch.cmake")

set(SLOTCON_TORCH_OLDEST 2.11)
set(SLOTCON_TORCH_NEWEST 2.15)  # the newest one tested
set(SLOTCON_TORCH_CXX20 2.14)   # needs C++20 from here on

# ---- Finding -------------------------------------------------------------------------------------

# Sets `out` to the root of the LibTorch at or around `path`, or to "".
function(slotcon_probe_torch out path)
  set(library "${CMAKE_SHARED_LIBRARY_PREFIX}torch_cpu${CMAKE_SHARED_LIBRARY_SUFFIX}")
  foreach(step . torch ../.. ../../..)
    get_filename_component(root "${path}/${step}" ABSOLUTE)
    if(EXISTS "${root}/include/torch" AND EXISTS "${root}/lib/${library}")
      set(${out} "${root}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${out} "" PARENT_SCOPE)
endfunction()

# Sets `out` to the version of the LibTorch in `root`, such as 2.11.0, or to "" if no header tells.
function(slotcon_torch_version out root)
  set(${out} "" PARENT_SCOPE)
  foreach(header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(EXISTS "${root}/include/${header}")
      file(STRINGS "${root}/include/${header}" version
           REGEX "^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
      if(version)
        string(REGEX REPLACE "[^0-9;]" "" version "${version}")
        list(JOIN version "." version)
        set(${out} "${version}" PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
endfunction()

# Step 2. A Torch_DIR or Torch_ROOT without a LibTorch is an error: it was meant to be used.
function(slotcon_torch_by_variable out_root out_origin)
  foreach(name Torch_DIR Torch_ROOT CMAKE_PREFIX_PATH)
    string(REPLACE ":" ";" from_environment "$ENV{${name}}")
    foreach(path ${${name}} ${from_environment})
      slotcon_probe_torch(root "${path}")
      if(root)
        set(${out_root} "${root}" PARENT_SCOPE)
        set(${out_origin} "${name}" PARENT_SCOPE)
        return()
      elseif(path AND NOT name STREQUAL "CMAKE_PREFIX_PATH")
        message(FATAL_ERROR "slotcon: ${name} names ${path}, where there is no LibTorch")
      endif()
    endforeach()
  endforeach()
endfunction()

# Step 4. Nobody chose this one for slotcon, so one that is too old is passed over.
function(slotcon_torch_of_python out_root out_origin)
  find_program(python NAMES python3 python NO_CACHE)
  if(Python3_EXECUTABLE)
    set(python "${Python3_EXECUTABLE}")
  endif()
  if(NOT python)
    return()
  endif()
  execute_process(
    COMMAND "${python}" -c "import importlib.util as u; print(u.find_spec('torch').origin)"
    OUTPUT_VARIABLE origin OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed)
    return()
  endif()
  cmake_path(GET origin PARENT_PATH folder)
  slotcon_probe_torch(root "${folder}")
  if(NOT root)
    return()
  endif()
  slotcon_torch_version(version "${root}")
  if(version VERSION_LESS SLOTCON_TORCH_OLDEST)
    message(STATUS "slotcon: passing over LibTorch ${version} in ${root}: "
                   "${SLOTCON_TORCH_OLDEST} or newer is needed")
    return()
  endif()
  set(${out_root} "${root}" PARENT_SCOPE)
  set(${out_origin} "${python}" PARENT_SCOPE)
endfunction()

# Step 1. The include folders of find_package(Torch)'s target are <root>/include and one below it.
function(slotcon_torch_of_target out_root)
  get_target_property(folders torch INTERFACE_INCLUDE_DIRECTORIES)
  foreach(folder ${folders})
    slotcon_probe_torch(root "${folder}/..")
    if(root)
      set(${out_root} "${root}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

function(slotcon_locate_torch out_root out_origin)
  set(root "")
  if(TARGET torch)
    set(origin "the target torch")
    slotcon_torch_of_target(root)
  else()
    slotcon_torch_by_variable(root origin)
    if(NOT root AND SLOTCON_TORCH_HINT)
      set(origin "the one slotcon was built with")
      slotcon_probe_torch(root "${SLOTCON_TORCH_HINT}")
    endif()
    if(NOT root)
      slotcon_torch_of_python(root origin)
    endif()
    if(NOT root AND SLOTCON_FETCH_TORCH)
      set(origin "installed by slotcon")
      slotcon_fetch_torch(root)
    endif()
    if(NOT root)
      message(FATAL_ERROR
        "slotcon: no LibTorch found. Set Torch_DIR to a LibTorch ${SLOTCON_TORCH_OLDEST} or newer, "
        "put a python3 that has torch first in PATH, or configure with SLOTCON_FETCH_TORCH=ON.")
    endif()
  endif()
  set(${out_root} "${root}" PARENT_SCOPE)
  set(${out_origin} "${origin}" PARENT_SCOPE)
endfunction()

function(slotcon_check_torch_version version place)
  if(NOT version)
    return()
  endif()
  string(REGEX MATCH "^[0-9]+\\.[0-9]+" release "${version}")
  if(version VERSION_LESS SLOTCON_TORCH_OLDEST)
    message(FATAL_ERROR "slotcon: LibTorch ${SLOTCON_TORCH_OLDEST} or newer is needed, "
                        "found ${version} in ${place}")
  elseif(release VERSION_GREATER SLOTCON_TORCH_NEWEST)
    message(WARNING "slotcon: LibTorch ${version} in ${place} is newer than those slotcon was "
                    "tested with (${SLOTCON_TORCH_OLDEST} to ${SLOTCON_TORCH_NEWEST})")
  endif()
endfunction()

# ---- Wrapping ------------------------------------------------------------------------------------

# at::parallel_for is a template: compiled without OpenMP it runs on one thread and says nothing.
# The runtime it calls has to be LibTorch's own copy, or there are two pools of threads.
function(slotcon_add_openmp root)
  set(config "${root}/include/ATen/Config.h")
  if(EXISTS "${config}")
    file(STRINGS "${config}" uses_openmp REGEX "^#define AT_PARALLEL_OPENMP 1")
  endif()
  if(NOT uses_openmp)
    return()
  endif()
  find_package(OpenMP QUIET COMPONENTS CXX)
  if(NOT OpenMP_CXX_FOUND)
    message(WARNING "slotcon: LibTorch runs its loops with OpenMP, which ${CMAKE_CXX_COMPILER} "
                    "cannot compile: the loops in slotcon's headers will run on one thread. "
                    "(clang on Debian or Ubuntu: sudo apt-get install libomp-dev)")
    return()
  endif()
  separate_arguments(flags NATIVE_COMMAND "${OpenMP_CXX_FLAGS}")
  target_compile_options(slotcon::torch INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${flags}>")
  file(GLOB runtime "${root}/lib/libgomp*.so*")
  if(runtime AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(GET runtime 0 runtime)
  else()
    set(runtime OpenMP::OpenMP_CXX)
  endif()
  target_link_libraries(slotcon::torch INTERFACE "${runtime}")
endfunction()

# The two libraries of LibTorch that a program without a GPU needs.
function(slotcon_add_torch_libraries root)
  foreach(name torch_cpu c10)
    set(library "${CMAKE_SHARED_LIBRARY_PREFIX}${name}${CMAKE_SHARED_LIBRARY_SUFFIX}")
    add_library(slotcon::${name} SHARED IMPORTED GLOBAL)
    set_target_properties(slotcon::${name} PROPERTIES IMPORTED_LOCATION "${root}/lib/${library}")
    target_link_libraries(slotcon::torch INTERFACE slotcon::${name})
  endforeach()
  target_include_directories(slotcon::torch SYSTEM INTERFACE
                             "${root}/include" "${root}/include/torch/csrc/api/include")
  find_package(Threads REQUIRED)
  target_link_libraries(slotcon::torch INTERFACE Threads::Threads)
endfunction()

function(slotcon_add_torch root version)
  add_library(slotcon::torch INTERFACE IMPORTED GLOBAL)
  if(version AND version VERSION_GREATER_EQUAL SLOTCON_TORCH_CXX20)
    target_compile_features(slotcon::torch INTERFACE cxx_std_20)
  endif()
  if(TARGET torch)
    target_link_libraries(slotcon::torch INTERFACE torch)
  else()
    slotcon_add_torch_libraries("${root}")
  endif()
  slotcon_add_openmp("${root}")
endfunction()

slotcon_locate_torch(SLOTCON_TORCH_ROOT SLOTCON_TORCH_ORIGIN)
slotcon_torch_version(SLOTCON_TORCH_VERSION "${SLOTCON_TORCH_ROOT}")
slotcon_check_torch_version("${SLOTCON_TORCH_VERSION}"
                            "${SLOTCON_TORCH_ROOT} (${SLOTCON_TORCH_ORIGIN})")
slotcon_add_torch("${SLOTCON_TORCH_ROOT}" "${SLOTCON_TORCH_VERSION}")
message(STATUS "slotcon: LibTorch ${SLOTCON_TORCH_VERSION} in ${SLOTCON_TORCH_ROOT} "
               "(${SLOTCON_TORCH_ORIGIN})")
