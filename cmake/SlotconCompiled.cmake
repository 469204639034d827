# slotcon::compiled: slotcon::slotcon whose CPU kernels are compiled once, for projects in which many
# files include losses. Otherwise each such file compiles them, about half of the time it takes.

if(NOT TARGET slotcon::compiled)
  add_library(slotcon_compiled STATIC EXCLUDE_FROM_ALL
              "${SLOTCON_INCLUDE_DIR}/slotcon/cpu_backend.cpp")
  add_library(slotcon::compiled ALIAS slotcon_compiled)
  set_target_properties(slotcon_compiled PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_compile_definitions(slotcon_compiled PUBLIC SLOTCON_COMPILED)
  target_link_libraries(slotcon_compiled PUBLIC slotcon::slotcon)
endif()
