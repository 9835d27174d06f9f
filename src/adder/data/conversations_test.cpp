#include "adder/data/conversations.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"
#include "adder/data/loader.h"
#include "adder/data/prepare.h"
#include "adder/data/shard_writer.h"
#include "adder/data/test_folder.h"
#include "adder/text/byte_tokenizer.h"

namespace adder::data {
namespace {

/// "user: Hi|assistant: Ho|"
std::string flat(const Conversation& conversation) {
  std::string text;
  for (const text::ChatMessage& message : conversation) {
    text += message.role + ": " + message.content + "|";
  }
  return text;
}

std::string parsed(const std::string& line) {
  return flat(parse_conversation(io::Json::parse(line), "here"));
}

TEST(Conversations, ThreeFormsAreRead) {
  EXPECT_EQ(parsed(R"({"messages": [{"role": "system", "content": "Be brief."},
                                    {"role": "user", "content": "Hi"},
                                    {"role": "assistant", "content": "Ho", "weight": 1}]})"),
            "system: Be brief.|user: Hi|assistant: Ho|");
  EXPECT_EQ(parsed(R"({"prompt": "Hi", "completion": "Ho"})"), "user: Hi|assistant: Ho|");
  EXPECT_EQ(parsed(R"({"instruction": "Add", "input": "1 2", "output": "3"})"),
            "user: Add\n\n1 2|assistant: 3|");
  EXPECT_EQ(parsed(R"({"instruction": "Sing", "input": "", "output": "La"})"),
            "user: Sing|assistant: La|");
  EXPECT_EQ(parsed(R"({"instruction": "Sing", "output": "La"})"), "user: Sing|assistant: La|");
}

TEST(Conversations, OtherLinesAreRefusedWithTheirPlace) {
  const TestFolder folder;
  const auto refused = [&](const std::string& line, const char* expected) {
    const std::string good = R"({"prompt": "a", "completion": "b"})";
    ConversationStream stream({folder.write("chat.jsonl", good + "\n" + line + "\n")});
    Conversation conversation;
    EXPECT_TRUE(stream.next(conversation));
    const std::string said = error_of([&] { stream.next(conversation); });
    EXPECT_NE(said.find("chat.jsonl:2"), std::string::npos) << line << said;
    EXPECT_NE(said.find(expected), std::string::npos) << line << said;
  };
  refused(R"({"text": "plain"})", "no conversation");
  refused(R"(["messages"])", "no conversation");
  refused(R"({"messages": "Hi"})", "messages");
  refused(R"({"messages": []})", "no answer");
  refused(R"({"messages": [{"role": "user", "content": "Hi"}]})", "no answer");
  refused(R"({"messages": [{"role": "assistant", "content": ""}]})", "no answer");
  refused(R"({"messages": [{"role": "robot", "content": "Hi"}]})", "messages[0].role");
  refused(R"({"messages": [{"role": "user"}]})", "content");
  refused(R"({"messages": [{"role": "user", "content": ["Hi"]}]})", "messages[0].content");
  refused(R"({"completion": "b"})", "prompt");
  refused(R"({"prompt": "a", "completion": ""})", "no answer");
  refused(R"({"prompt": 1, "completion": "b"})", "prompt");
  refused(R"({"output": "b"})", "instruction");
  refused(R"({"prompt": "a", "completion": "b\u0000"})", "NUL");
  refused(R"({"prompt": "a", "completion": "b)", "JSON");
  EXPECT_NE(error_of([&] { ConversationStream({folder.write("chat.txt", "Hi")}); }), "");
}

// Two conversations of ids, answers marked by hand; windows of four.
TEST(Conversations, OnlyAnswersAreTargets) {
  const TestFolder folder;
  const text::ByteTokenizer tokenizer;
  {
    ShardWriter writer(folder / "set", tokenizer, {.shard_tokens = 4});
    writer.add_document(std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7},
                        std::vector<uint8_t>{0, 0, 1, 1, 0, 1, 1});
    writer.add_document(std::vector<int32_t>{8, 9, 10}, std::vector<uint8_t>{1, 0, 1});
    writer.finish();
  }
  const ShardSet set = ShardSet::open(folder / "set");
  ASSERT_TRUE(set.has_answers());
  const TokenLoader docs(set, set.all(), {.batch_size = 1, .length = 4, .mode = PackMode::kDocs});
  ASSERT_EQ(docs.eval_windows(), 3);
  const Batch padded = docs.eval_batch(0, 3);
  const auto of = [](const Batch& batch) {
    const auto targets = batch.at("targets").as<int64_t>();
    return std::vector<int64_t>(targets.begin(), targets.end());
  };
  EXPECT_EQ(of(padded),
            (std::vector<int64_t>{-100, 3, 4, -100, 6, 7, -100, -100, -100, 10, -100, -100}));
  const TokenLoader packed(set, set.all(), {.batch_size = 1, .length = 9});
  // The answer that a document begins with is nobody's target: that would cross the border.
  EXPECT_EQ(of(packed.eval_batch(0, 1)),
            (std::vector<int64_t>{-100, 3, 4, -100, 6, 7, -100, -100, 10}));
}

TEST(Conversations, WindowsWithoutAnAnswerArePassedOverInTraining) {
  const TestFolder folder;
  const text::ByteTokenizer tokenizer;
  std::vector<int32_t> ids(1000);
  std::vector<uint8_t> answers(1000);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i % 250);
  answers[500] = 1;
  for (const bool some : {true, false}) {
    std::filesystem::remove_all(folder / "set");
    ShardWriter writer(folder / "set", tokenizer);
    writer.add_document(ids, answers);
    writer.finish();
    const ShardSet set = ShardSet::open(folder / "set");
    const TokenRange range = some ? set.all() : TokenRange{0, 400};
    TokenLoader loader(set, range, {.batch_size = 3, .length = 10});
    if (!some) {
      EXPECT_THROW(loader.next(), Error);
      continue;
    }
    const Batch batch = loader.next();
    const auto targets = batch.at("targets").as<int64_t>();
    for (size_t row = 0; row < 3; ++row) {
      int64_t learnt = 0;
      for (const int64_t target : targets.subspan(row * 10, 10)) learnt += target == 0 ? 1 : 0;
      EXPECT_EQ(learnt, 1) << row;
    }
  }
}

TEST(Conversations, DamagedAnswersAreFoundOut) {
  const TestFolder folder;
  const text::ByteTokenizer tokenizer;
  ShardWriter writer(folder / "set", tokenizer);
  writer.add_document(std::vector<int32_t>{1, 2, 3, 4}, std::vector<uint8_t>{0, 1, 0, 1});
  const ShardManifest manifest = writer.finish();
  const auto path = folder / "set/answers.bin";
  ASSERT_EQ(std::filesystem::file_size(path), 32u);
  const auto open = [&] { return error_of([&] { (void)ShardSet::open(folder / "set"); }); };
  EXPECT_EQ(open(), "");
  std::fstream(path, std::ios::in | std::ios::out).put('\x02');
  EXPECT_NE(open().find("answers.bin"), std::string::npos);
  std::filesystem::resize_file(path, 31);
  EXPECT_NE(open().find("answers.bin"), std::string::npos);
  std::filesystem::remove(path);
  EXPECT_NE(open().find("answers.bin"), std::string::npos);
}

TEST(Conversations, PreparedShardsLearnTheAnswersAlone) {
  const TestFolder folder;
  DataOptions options;
  options.text = {folder
                      .write("chat.jsonl",
                             "{\"prompt\": \"what is it\", \"completion\": \"a SONG\"}\n"
                             "{\"messages\": [{\"role\": \"user\", \"content\": \"again\"},"
                             "{\"role\": \"assistant\", \"content\": \"LA\"},"
                             "{\"role\": \"user\", \"content\": \"more\"},"
                             "{\"role\": \"assistant\", \"content\": \"LO\"}]}\n")
                      .string()};
  options.cache = (folder / "cache").string();
  options.chat_template = "chatml";
  options.tokenizer = "byte";
  options.val_fraction = 0;
  const PreparedData data = prepare(options);
  EXPECT_FALSE(data.chat_template.empty());
  EXPECT_TRUE(std::filesystem::exists(data.shards->folder() / "chat_template.json"));
  ASSERT_EQ(data.shards->document_count(), 2);
  const TokenLoader loader(*data.shards, data.split.train,
                           {.batch_size = 1, .length = 300, .mode = PackMode::kDocs});
  const Batch batch = loader.eval_batch(0, 2);
  const auto targets = batch.at("targets").as<int64_t>();
  for (size_t row = 0; row < 2; ++row) {
    std::vector<int32_t> learnt;
    for (const int64_t target : targets.subspan(row * 300, 300)) {
      if (target != kIgnoreTarget) learnt.push_back(static_cast<int32_t>(target));
    }
    const std::string text = data.tokenizer->decode(learnt);
    for (const char* question : {"what", "again", "more", "user", "assistant"}) {
      EXPECT_EQ(text.find(question), std::string::npos) << text;
    }
    for (const char* answer : row == 0 ? std::vector{"a SONG"} : std::vector{"LA", "LO"}) {
      EXPECT_NE(text.find(answer), std::string::npos) << text;
    }
    EXPECT_EQ(learnt.back(), data.tokenizer->eos_id());
  }
  EXPECT_TRUE(prepare(options).reused);
  options.chat_template = "";
  EXPECT_NE(error_of([&] { (void)prepare(options); }).find("text"), std::string::npos);
}

}  // namespace
}  // namespace adder::data
