#include "adder/infer/generate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "adder/base/error.h"
#include "adder/base/thread_pool.h"
#include "adder/infer/test_support.h"
#include "adder/text/byte_tokenizer.h"
#include "adder/text/utf8.h"

namespace adder::infer {
namespace {

using namespace testing_support;

/// A model that says a given sequence of distinct bytes: embeddings are unit vectors, mixers add
/// nothing, and the head's row of each byte looks for the byte before it. Two rows pad the
/// vocabulary and would always win.
struct Script {
  explicit Script(const std::vector<int32_t>& chain) : source(config()) {
    const auto width = static_cast<std::size_t>(source.config.d_model);
    auto& embedding = source.storage.at("backbone.embeddings.weight");
    auto& head = source.storage.at("lm_head.weight");
    std::fill(embedding.begin(), embedding.end(), 0.0f);
    std::fill(head.begin(), head.end(), 0.0f);
    for (std::size_t id = 0; id < 257; ++id) embedding[id * width + id] = 1;
    for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
      head[static_cast<std::size_t>(chain[i + 1]) * width + static_cast<std::size_t>(chain[i])] = 1;
    }
    for (std::size_t pad = 257; pad < 259; ++pad) std::fill_n(&head[pad * width], width, 100.0f);
    auto& norm = source.storage.at("backbone.norm_f.weight");
    std::fill(norm.begin(), norm.end(), 1.0f);
    auto& out = source.storage.at("backbone.layers.0.mixer.out_proj.weight");
    std::fill(out.begin(), out.end(), 0.0f);
  }
  static model::ModelConfig config() {
    return with_options({"vocab_size=259", "d_model=257", "n_layer=1", "tie_embeddings=false",
                         "mamba2.head_dim=257"});
  }
  Generation run(const GenerateOptions& options, const OnToken& on_token = {},
                 std::vector<int32_t> eos = {}) {
    Model model(source.config, source.weights, pool);
    State state = model.new_state();
    const std::vector<int32_t> prompt = {'>'};
    return Generator(model, tokenizer, std::move(eos)).run(prompt, state, options, on_token);
  }
  RandomModel source;
  ThreadPool pool{2};
  text::ByteTokenizer tokenizer;
};

std::vector<int32_t> bytes(const std::string& text, bool eos = false) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  if (eos) ids.push_back(text::ByteTokenizer::kEos);
  return ids;
}

GenerateOptions greedy(int64_t count, std::vector<std::string> stop = {}) {
  GenerateOptions options;
  options.max_new_tokens = count;
  options.stop = std::move(stop);
  options.sampler.temperature = 0;
  return options;
}

TEST(Generate, StopsAtTheEndOfTheDocument) {
  Script script(bytes(">Hi.", true));
  const Generation result = script.run(greedy(50));
  EXPECT_EQ(result.text, "Hi.");
  EXPECT_EQ(result.ids, bytes("Hi.", true));
  EXPECT_EQ(result.reason, StopReason::kEos);
  EXPECT_EQ(result.prompt_tokens, 1);
}

TEST(Generate, StopsAtTheTokensThatTheDirectoryNames) {
  Script script(bytes(">Hi.", true));
  const Generation result = script.run(greedy(50), {}, {'x', 'i'});
  EXPECT_EQ(result.ids, bytes("Hi"));
  EXPECT_EQ(result.reason, StopReason::kEos);
  EXPECT_EQ(script.run(greedy(50), {}, {'x'}).ids, bytes("Hi.", true));  // the tokenizer's own
  GenerateOptions options = greedy(3);
  options.ignore_eos = true;
  EXPECT_EQ(script.run(options, {}, {'i'}).text, "Hi.");
}

TEST(Generate, StopsAtTheLength) {
  Script script(bytes(">Hi.", true));
  const Generation result = script.run(greedy(2));
  EXPECT_EQ(result.text, "Hi");
  EXPECT_EQ(result.reason, StopReason::kLength);
  EXPECT_EQ(script.run(greedy(0)).text, "");
}

TEST(Generate, GoesOnAfterEosWhenAsked) {
  std::vector<int32_t> chain = bytes(">A", true);
  chain.push_back('B');
  Script script(chain);
  GenerateOptions options = greedy(3);
  options.ignore_eos = true;
  EXPECT_EQ(script.run(options).text, "AB");
}

TEST(Generate, PiecesAreWholeCharacters) {
  const std::string text = "a\xC3\xA9-\xE2\x82\xAC";  // a é - €
  Script script(bytes(">" + text, true));
  std::vector<std::string> pieces;
  script.run(greedy(50), [&](std::optional<int32_t>, std::string_view piece) {
    EXPECT_TRUE(text::is_valid_utf8(piece));
    pieces.emplace_back(piece);
    return true;
  });
  EXPECT_EQ(pieces,
            (std::vector<std::string>{"a", "", "\xC3\xA9", "-", "", "", "\xE2\x82\xAC", ""}));
}

TEST(Generate, AnUnfinishedCharacterAtTheEndIsReplaced) {
  Script script(bytes(">a\xE2\x82\xAC"));
  const Generation result = script.run(greedy(3));
  EXPECT_EQ(result.text, "a\xEF\xBF\xBD");
}

TEST(Generate, StopStringsAreNeverShownInPart) {
  Script script(bytes(">abcdefg", true));
  std::string shown;
  const Generation result =
      script.run(greedy(50, {"cde", "cx"}), [&](std::optional<int32_t>, std::string_view piece) {
        shown += piece;
        EXPECT_EQ(shown.find('c'), std::string::npos);
        return true;
      });
  EXPECT_EQ(shown, "ab");
  EXPECT_EQ(result.text, "ab");
  EXPECT_EQ(result.ids, bytes("abcde"));
  EXPECT_EQ(result.reason, StopReason::kStopString);
  EXPECT_EQ(script.run(greedy(3, {"cde"})).text, "abc");  // held back, then the end comes
}

TEST(Generate, TheCallerMayEndIt) {
  Script script(bytes(">abcdef", true));
  const Generation result =
      script.run(greedy(50), [](std::optional<int32_t> id, std::string_view) { return id != 'c'; });
  EXPECT_EQ(result.text, "abc");
  EXPECT_EQ(result.reason, StopReason::kCancelled);
}

TEST(Generate, IsWhatPrefillAndArgmaxGive) {
  const RandomModel source(with_options({"vocab_size=257"}));
  const ThreadPool pool(2);
  const text::ByteTokenizer tokenizer;
  Model model(source.config, source.weights, pool);
  std::vector<int32_t> ids = random_ids(12, 256);
  State state = model.new_state();
  GenerateOptions options = greedy(10);
  options.ignore_eos = true;
  const Generation result = Generator(model, tokenizer).run(ids, state, options);
  EXPECT_EQ(state.tokens, 12 + 9);
  std::vector<float> logits(257);
  for (const int32_t id : result.ids) {
    State fresh = model.new_state();
    model.prefill(ids, fresh, logits);
    EXPECT_EQ(id, std::max_element(logits.begin(), logits.end()) - logits.begin());
    ids.push_back(id);
  }
}

TEST(Generate, RefusesOptionsThatDoNotFit) {
  Script script(bytes(">a"));
  EXPECT_THROW(script.run(greedy(-1)), Error);
  GenerateOptions options;
  options.sampler.top_p = 2;
  EXPECT_THROW(script.run(options), Error);
}

}  // namespace
}  // namespace adder::infer
