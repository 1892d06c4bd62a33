# brood_add_task_library(NAME a.cc …): a task library, libNAME.so, for `brood parent start --library`.
# Its own code is hidden but for the one function, so that libraries in one parent keep apart.
function(brood_add_task_library name)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE brood::sdk)
  set_target_properties(${name} PROPERTIES
    PREFIX lib
    POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
endfunction()
