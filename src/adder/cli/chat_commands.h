// The commands of a conversation: /undo, /save FILE, /temperature 0.5, ...
#pragma once

#include <string>
#include <vector>

#include "adder/cli/conversation.h"

namespace adder::cli {

/// Does what a line that begins with "/" says; false when that is to end. Throws kUsage for an
/// unknown command, with the nearest known one.
bool run_command(Conversation& conversation, const std::string& line);

/// Every command that begins like `beginning` ("/te").
std::vector<std::string> commands_like(Conversation& conversation, const std::string& beginning);

}  // namespace adder::cli
