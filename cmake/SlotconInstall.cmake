# `cmake --install` puts the headers and a CMake package into the prefix, after which
# find_package(slotcon) gives slotcon::slotcon, slotcon::compiled, slotcon::distributed,
# slotcon::images where JPEG and PNG are found, slotcon::cuda where CUDA is enabled, and
# slotcon::nccl where NCCL is there too. Where they are built, also the operators for Python.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/slotcon")

install(TARGETS slotcon slotcon_cuda slotcon_distributed EXPORT slotconTargets FILE_SET HEADERS)
set(gloo_stub "${CMAKE_INSTALL_INCLUDEDIR}/slotcon/detail/gloo_stub")
target_compile_options(slotcon_distributed INTERFACE
  "$<INSTALL_INTERFACE:$<$<COMPILE_LANGUAGE:CXX>:-idirafter$<INSTALL_PREFIX>/${gloo_stub}>>")
set(backend "${CMAKE_INSTALL_INCLUDEDIR}/slotcon/cuda_backend.cu")
target_sources(slotcon_cuda INTERFACE "$<INSTALL_INTERFACE:$<INSTALL_PREFIX>/${backend}>")
install(DIRECTORY include/slotcon DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.cuh" PATTERN "*.cu" PATTERN "*.cpp")
if(TARGET slotcon_ops)
  set(python_dir "${CMAKE_INSTALL_LIBDIR}/slotcon/python")
  install(TARGETS slotcon_ops LIBRARY DESTINATION "${python_dir}")
  install(FILES python/slotcon_ops.py DESTINATION "${python_dir}")
endif()
install(EXPORT slotconTargets NAMESPACE slotcon:: DESTINATION "${package_dir}")

configure_package_config_file(
  cmake/slotconConfig.cmake.in "${PROJECT_BINARY_DIR}/slotconConfig.cmake"
  INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/slotconConfigVersion.cmake" COMPATIBILITY SameMinorVersion
  ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/slotconConfig.cmake"
              "${PROJECT_BINARY_DIR}/slotconConfigVersion.cmake"
              cmake/SlotconTorch.cmake cmake/SlotconFetchTorch.cmake cmake/SlotconCuda.cmake
              cmake/SlotconCompiled.cmake
        DESTINATION "${package_dir}")
