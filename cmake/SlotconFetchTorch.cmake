# slotcon_fetch_torch(out) installs a pinned torch wheel, once, and sets `out` to its folder.

option(SLOTCON_FETCH_TORCH "Install a pinned LibTorch into a cache folder when none is found" ON)
set(SLOTCON_TORCH_WHEEL "2.11.0" CACHE STRING "Version of the torch wheel to install")
set(SLOTCON_TORCH_FLAVOR "AUTO" CACHE STRING
    "slim (CPU only, 1.3 GB), full (with CUDA libraries, 4.7 GB), AUTO (full if there is a GPU)")

function(slotcon_cache_dir out)
  if(SLOTCON_CACHE_DIR)
    set(folder "${SLOTCON_CACHE_DIR}")
  elseif(DEFINED ENV{SLOTCON_CACHE_DIR})
    set(folder "$ENV{SLOTCON_CACHE_DIR}")
  elseif(DEFINED ENV{XDG_CACHE_HOME})
    set(folder "$ENV{XDG_CACHE_HOME}/slotcon")
  elseif(DEFINED ENV{HOME})
    set(folder "$ENV{HOME}/.cache/slotcon")
  else()
    set(folder "${CMAKE_BINARY_DIR}/cache")
  endif()
  get_filename_component(folder "${folder}" ABSOLUTE BASE_DIR "${CMAKE_BINARY_DIR}")
  set(${out} "${folder}" PARENT_SCOPE)
endfunction()

function(slotcon_torch_flavor out)
  set(flavor "${SLOTCON_TORCH_FLAVOR}")
  if(flavor STREQUAL "AUTO")
    execute_process(COMMAND nvidia-smi -L RESULT_VARIABLE no_gpu OUTPUT_QUIET ERROR_QUIET)
    if(no_gpu AND NOT EXISTS /dev/nvidia0)
      set(flavor slim)
    else()
      set(flavor full)
    endif()
  endif()
  set(${out} "${flavor}" PARENT_SCOPE)
endfunction()

# Runs a command in the open, so that its progress is seen; a failure ends with `reason`.
function(slotcon_fetch_step reason)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR
      "slotcon: no LibTorch found, and none could be installed: ${reason} To use one that is "
      "already there, set Torch_DIR to it or put a python3 that has torch first in PATH.")
  endif()
endfunction()

# What libtorch_cpu needs beside the wheel in `venv`: that of a CUDA wheel wants libcudart and
# libcupti of its CUDA version, and nothing else as long as no GPU is used.
function(slotcon_slim_requirements out venv)
  set(${out} "" PARENT_SCOPE)
  file(GLOB version_file "${venv}/lib/python*/site-packages/torch/version.py")
  file(STRINGS "${version_file}" cuda REGEX "^cuda.*= '[0-9]+\\.[0-9]+'")
  if(cuda MATCHES "'([0-9]+)\\.([0-9]+)'")
    set(${out} "nvidia-cuda-runtime==${CMAKE_MATCH_1}.${CMAKE_MATCH_2}.*"
               "nvidia-cuda-cupti==${CMAKE_MATCH_1}.${CMAKE_MATCH_2}.*" PARENT_SCOPE)
  endif()
endfunction()

function(slotcon_install_wheel venv flavor)
  find_program(python NAMES python3 NO_CACHE)
  if(Python3_EXECUTABLE)
    set(python "${Python3_EXECUTABLE}")
  endif()
  if(NOT python)
    set(python python3)  # which then fails, with a reason
  endif()
  message(STATUS "slotcon: installing torch ${SLOTCON_TORCH_WHEEL} (${flavor}) into ${venv}, once; "
                 "this takes a minute or more")
  file(REMOVE_RECURSE "${venv}")
  set(reason "python3 could not make a virtual environment "
             "(Debian or Ubuntu: sudo apt-get install python3-venv).")
  list(JOIN reason "" reason)
  slotcon_fetch_step("${reason}" "${python}" -m venv "${venv}")
  set(pip "${venv}/bin/python" -m pip install --disable-pip-version-check --no-input)
  set(reason "pip could not install torch ${SLOTCON_TORCH_WHEEL} (its reason stands above: "
             "no network, say, or no such wheel for this python3).")
  list(JOIN reason "" reason)
  if(flavor STREQUAL "full")
    slotcon_fetch_step("${reason}" ${pip} "torch==${SLOTCON_TORCH_WHEEL}")
  else()
    slotcon_fetch_step("${reason}" ${pip} --no-deps "torch==${SLOTCON_TORCH_WHEEL}")
    slotcon_slim_requirements(requirements "${venv}")
    if(requirements)
      slotcon_fetch_step("${reason}" ${pip} --no-deps ${requirements})
    endif()
  endif()
  file(TOUCH "${venv}/.complete")
endfunction()

function(slotcon_fetch_torch out)
  slotcon_cache_dir(cache)
  slotcon_torch_flavor(flavor)
  set(venv "${cache}/torch-${SLOTCON_TORCH_WHEEL}-${flavor}")
  if(NOT EXISTS "${venv}/.complete")
    file(MAKE_DIRECTORY "${cache}")
    file(LOCK "${venv}.lock" GUARD FUNCTION TIMEOUT 1800)
    if(NOT EXISTS "${venv}/.complete")  # another build may have installed it while this one waited
      slotcon_install_wheel("${venv}" "${flavor}")
    endif()
  endif()
  file(GLOB folder "${venv}/lib/python*/site-packages/torch")
  set(${out} "${folder}" PARENT_SCOPE)
endfunction()
