# Takes GoogleTest and Google Benchmark from the sources that `./run gpu-pack` has packed, on a
# machine that has neither them nor a network.

set(SLOTCON_PACK_DIR "" CACHE PATH "The folder that ./run gpu-pack has filled")

# find_package(package) will build the sources in that folder of the pack, if it is there.
macro(slotcon_unpack package folder)
  if(SLOTCON_PACK_DIR AND EXISTS "${SLOTCON_PACK_DIR}/${folder}/CMakeLists.txt")
    include(FetchContent)
    string(TOUPPER ${package} upper)
    set(FETCHCONTENT_SOURCE_DIR_${upper} "${SLOTCON_PACK_DIR}/${folder}")
    FetchContent_Declare(${package} OVERRIDE_FIND_PACKAGE)
  endif()
endmacro()

set(BUILD_GMOCK OFF)
set(INSTALL_GTEST OFF)
slotcon_unpack(GTest googletest)

set(BENCHMARK_ENABLE_INSTALL OFF)
set(BENCHMARK_ENABLE_TESTING OFF)
set(BENCHMARK_ENABLE_WERROR OFF)
slotcon_unpack(benchmark benchmark)
