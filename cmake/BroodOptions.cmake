set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# All programs side by side: each finds the others beside itself.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

option(BROOD_TESTS "Build the tests and benchmarks" ON)
set(BROOD_SANITIZE "" CACHE STRING "Sanitizers for all our code: address (with undefined), thread, or empty")

find_program(BROOD_CCACHE ccache)
if(BROOD_CCACHE)
  # ccache takes precompiled headers only with these.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${BROOD_CCACHE})
endif()
