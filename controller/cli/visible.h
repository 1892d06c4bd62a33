// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace brood::cli {

// `text` with everything that a terminal would obey made visible: ESC as \x1b, CR as
// \r, C1 controls and DEL as \xNN. TAB stays; LF stays if `keep_line_feeds`. UTF-8 and
// bytes that are no text stay as they are, unless they are C1 controls by themselves.
std::string Visible(std::string_view text, bool keep_line_feeds = false);

}  // namespace brood::cli
