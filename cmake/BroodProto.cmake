# brood_proto_library(NAME PROTOS a.proto … IMPORTS dir … [GRPC] DEPS x …): messages, or with GRPC only the services' stubs.
function(brood_proto_library name)
  cmake_parse_arguments(A "GRPC" "" "PROTOS;IMPORTS;DEPS" ${ARGN})
  add_library(${name} STATIC ${A_PROTOS})
  add_library(brood::${name} ALIAS ${name})
  set(out ${CMAKE_CURRENT_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${out})
  if(A_GRPC)
    protobuf_generate(TARGET ${name} LANGUAGE grpc IMPORT_DIRS ${A_IMPORTS} PROTOC_OUT_DIR ${out}
      GENERATE_EXTENSIONS .grpc.pb.h .grpc.pb.cc
      PLUGIN "protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>")
  else()
    protobuf_generate(TARGET ${name} LANGUAGE cpp IMPORT_DIRS ${A_IMPORTS} PROTOC_OUT_DIR ${out})
  endif()
  # Generated code is compiled without our warnings and seen as a system header.
  target_include_directories(${name} SYSTEM PUBLIC ${out})
  target_compile_options(${name} PRIVATE -w)
  target_link_libraries(${name} PUBLIC ${A_DEPS} brood_sanitizers)
endfunction()
