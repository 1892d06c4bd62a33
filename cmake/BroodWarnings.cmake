# Interface target that every target of ours links.
add_library(brood_warnings INTERFACE)
target_compile_options(brood_warnings INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wundef -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(brood_warnings INTERFACE -Wthread-safety -Wno-sign-conversion)
else()
  # gcc's -Wconversion implies sign conversions only in C; its -Wold-style-cast sees system macros.
  # gcc 12's -Wrestrict sees overlaps in "text" + std::string that are not there (its bug 105651).
  target_compile_options(brood_warnings INTERFACE -Wno-old-style-cast -Wno-restrict)
endif()
