# Every library of others, with the version of Debian 12 that we build against.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(Protobuf 3.21 REQUIRED)
find_package(absl 20220623 REQUIRED)
set(CMAKE_FIND_PACKAGE_WARN_NO_MODULE OFF)
find_package(gRPC 1.51 CONFIG REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)        # certificates; what gRPC itself uses
find_package(CLI11 2.1 REQUIRED)          # commands and flags of `brood`
find_package(tomlplusplus 3.3 REQUIRED)   # inventory and configuration
find_package(spdlog 1.10 REQUIRED)        # the agent's log
find_package(nlohmann_json 3.11 REQUIRED) # JSON values of calls: agent and CLI only
find_library(BROOD_ISAL isal REQUIRED)    # CRC32C
if(BROOD_TESTS)
  find_package(GTest 1.12 REQUIRED)
  find_package(benchmark 1.7 REQUIRED)
  find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
endif()
