// SPDX-License-Identifier: Apache-2.0
//
// Any text as an experiment file, and as an expression of one.
#include "controller/experiment/experiment_file.h"
#include "controller/experiment/expression.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace brood;
  const std::string text(fuzz::TextOf(data, size));
  if (const auto read = ReadExperiment(text, "fuzz.toml"); !read)
    fuzz::Require(read.error().message.find("fuzz.toml") != std::string::npos,
                  "a refusal names the file");
  const Result<Expression> expression = ParseExpression(text);
  if (expression) {
    for (const Expression* const path : PathsOf(*expression)) (void)PathText(path->path);
  }
  return 0;
}
