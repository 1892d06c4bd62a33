# Writes OUT: the texts of FILES as a list of raw strings.
set(body "// Made from controller/experiment/claims by embed.cmake.\n#include \"controller/experiment/shipped.h\"\n\nnamespace brood {\n\nconst std::vector<ShippedExperiment>& ShippedExperiments() {\n  static const auto* const all = new std::vector<ShippedExperiment>{\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  string(APPEND body "      {\"${name}\", R\"~~~(${text})~~~\"},\n")
endforeach()
string(APPEND body "  };\n  return *all;\n}\n\n}  // namespace brood\n")
file(WRITE ${OUT} "${body}")
