# find_package(brood-sdk): the target brood::sdk and the function brood_add_task_library.
include(${CMAKE_CURRENT_LIST_DIR}/brood-sdk-targets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/BroodTaskLibrary.cmake)
