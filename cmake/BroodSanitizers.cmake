# Interface target with the sanitizers asked for, or none.
add_library(brood_sanitizers INTERFACE)
if(BROOD_SANITIZE STREQUAL "address")
  # vptr looks into memory through a pipe, and takes a process without descriptors for one that calls what is no object:
  # tests take them away.
  set(flags -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
elseif(BROOD_SANITIZE STREQUAL "thread")
  set(flags -fsanitize=thread -fno-omit-frame-pointer)
elseif(NOT BROOD_SANITIZE STREQUAL "")
  message(FATAL_ERROR "BROOD_SANITIZE is '${BROOD_SANITIZE}'; take address, thread, or nothing")
endif()
if(flags)
  target_compile_options(brood_sanitizers INTERFACE ${flags} -g1)
  target_link_options(brood_sanitizers INTERFACE ${flags})
endif()
