# Compiles SOURCE for each of ARCHITECTURES and reads what ptxas says of every kernel: none may keep
# registers in memory.

string(REPLACE "," ";" ARCHITECTURES "${ARCHITECTURES}")
foreach(architecture ${ARCHITECTURES})
  execute_process(
    COMMAND "${NVCC}" -std=c++17 -O3 -cubin -arch=${architecture} -Xptxas -v "-I${INCLUDE}"
            "${INCLUDE}/${SOURCE}" -o "${OUTPUT}"
    ERROR_VARIABLE report OUTPUT_VARIABLE output RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "nvcc -arch=${architecture} fails:\n${output}${report}")
  endif()
  string(REGEX MATCHALL "Compiling entry function '[^']+'" kernels "${report}")
  string(REGEX MATCHALL "[0-9]+ bytes spill stores, [0-9]+ bytes spill loads" spills "${report}")
  string(REGEX MATCHALL "Used [0-9]+ registers" registers "${report}")
  list(LENGTH kernels count)
  list(LENGTH spills reports)
  if(count EQUAL 0 OR reports LESS count)
    message(FATAL_ERROR "${architecture}: ${count} kernels, ${reports} reports:\n${report}")
  endif()
  list(REMOVE_DUPLICATES spills)
  if(NOT spills STREQUAL "0 bytes spill stores, 0 bytes spill loads")
    message(FATAL_ERROR "${architecture}: a kernel spills registers:\n${report}")
  endif()
  list(TRANSFORM registers REPLACE "[^0-9]" "")
  list(SORT registers COMPARE NATURAL ORDER DESCENDING)
  list(GET registers 0 most)
  message(STATUS "${architecture}: ${count} kernels, no spills, at most ${most} registers")
endforeach()
