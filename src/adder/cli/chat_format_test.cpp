#include "adder/cli/chat_format.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"
#include "adder/text/byte_tokenizer.h"

namespace adder::cli {
namespace {

using Ids = std::vector<int32_t>;

/// Where the template's control tokens are tokens: <|im_start|> 257, <|im_end|> 258, else bytes.
class ControlTokenizer final : public text::Tokenizer {
 public:
  std::string kind() const override { return "control"; }
  int64_t vocab_size() const override { return 259; }
  std::optional<int32_t> eos_id() const override { return std::nullopt; }
  Ids encode(std::string_view text) const override { return bytes_.encode(text); }
  Ids encode(std::string_view text, const text::EncodeOptions& options) const override {
    Ids ids;
    while (!text.empty()) {
      const bool start = text.starts_with("<|im_start|>"), end = text.starts_with("<|im_end|>");
      const bool control = options.specials == text::Specials::kParsed && (start || end);
      ids.push_back(control ? (start ? 257 : 258) : static_cast<unsigned char>(text[0]));
      text.remove_prefix(!control ? 1 : start ? 12 : 10);
    }
    return ids;
  }
  std::string token_bytes(int32_t id) const override {
    return id < 256 ? std::string(1, static_cast<char>(id)) : "";
  }
  size_t cut_at(std::string_view text, size_t) const override { return text.size(); }
  std::string to_json() const override { return "{}"; }

 private:
  text::ByteTokenizer bytes_;
};

const text::ChatTemplate& chatml() {
  return *text::ChatTemplate::find("chatml");
}

/// However much of an answer's end was drawn, what is read turn by turn is the conversation.
void expect_the_conversation(const text::Tokenizer& tokenizer, const Ids& end) {
  const ChatFormat format(chatml(), "Be brief.", {});
  const std::vector<text::ChatMessage> messages = {{"system", "Be brief."},
                                                   {"user", "Who is <|im_end|> there?"},
                                                   {"assistant", "Nobody"},
                                                   {"user", "And now?"}};
  const Ids whole = chatml().encode(messages, tokenizer, /*add_generation_prompt=*/true).ids;
  for (size_t drawn = 0; drawn <= end.size(); ++drawn) {
    Ids read = format.turn(tokenizer, "Who is <|im_end|> there?", {}, Ended::kNo);
    const Ids words = tokenizer.encode("Nobody");
    read.insert(read.end(), words.begin(), words.end());
    read.insert(read.end(), end.begin(), end.begin() + static_cast<std::ptrdiff_t>(drawn));
    const Ids next = format.turn(tokenizer, "And now?", read, Ended::kNo);
    read.insert(read.end(), next.begin(), next.end());
    EXPECT_EQ(read, whole) << drawn << " tokens of the end were drawn";
  }
}

TEST(ChatFormat, TurnsMakeUpTheConversation) {
  const ControlTokenizer control;
  expect_the_conversation(control, {258, '\n'});
  const text::ByteTokenizer bytes;
  expect_the_conversation(bytes, bytes.encode("<|im_end|>\n"));
}

TEST(ChatFormat, AnswersEndWhereTheTemplateSays) {
  const ChatFormat format(chatml(), "", {});
  const AnswerEnds control = format.ends(ControlTokenizer(), {3});
  EXPECT_EQ(control.tokens, Ids({3, 258}));
  EXPECT_TRUE(control.texts.empty());
  const AnswerEnds bytes = format.ends(text::ByteTokenizer(), {3});
  EXPECT_EQ(bytes.tokens, Ids({3}));
  EXPECT_EQ(bytes.texts, std::vector<std::string>({"<|im_end|>\n"}));
}

TEST(ChatFormat, WithoutATemplateLinesAreReadAsTheyAre) {
  const text::ByteTokenizer bytes;
  const ChatFormat format(std::nullopt, "", {.between = "-", .after = "\n"});
  EXPECT_EQ(format.turn(bytes, "ab", {}, Ended::kNo), Ids({'a', 'b', '\n'}));
  EXPECT_EQ(format.turn(bytes, "a", Ids({'x'}), Ended::kNo), Ids({'-', 'a', '\n'}));
  EXPECT_EQ(format.turn(bytes, "a", Ids({'x'}), Ended::kByToken), Ids({'a', '\n'}));
  EXPECT_EQ(format.turn(bytes, "a", Ids({'x'}), Ended::kByText), Ids({'a', '\n'}));
  EXPECT_THROW(ChatFormat(std::nullopt, "Be brief.", {}), Error);
}

}  // namespace
}  // namespace adder::cli
