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
option(BROOD_FAILPOINTS "Programs that tests can make die, fail and lie at named points (docs/hacking.md); never installed" OFF)
if(BROOD_FAILPOINTS)
  install(CODE "message(FATAL_ERROR \"built with BROOD_FAILPOINTS, for tests: not to be installed\")" COMPONENT brood)
endif()
set(BROOD_SANITIZE "" CACHE STRING "Sanitizers for all our code: address (with undefined), thread, or empty")

find_program(BROOD_CCACHE ccache)
if(BROOD_CCACHE)
  # ccache takes precompiled headers only with these.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${BROOD_CCACHE})
endif()
