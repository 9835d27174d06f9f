// How servers of language models are asked for a text, and how their answers are read, streamed or
// whole: Ollama's /api/generate and /api/chat (objects of JSON, one a line), and OpenAI's
// /v1/chat/completions (server-sent events), which many other servers speak.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "adder/io/http_client.h"
#include "adder/io/json.h"

namespace adder::data {

enum class LlmApi { kOllamaGenerate, kOllamaChat, kOpenAiChat };

struct LlmServer {
  LlmApi api = LlmApi::kOllamaGenerate;
  io::HttpUrl url;  // complete, as llm_url() makes it
  std::string model;
  std::string system;  // empty: none
  std::string key;     // sent as a bearer token; empty: none. Never in an error's text
  double temperature = 0.8;
  int64_t max_tokens = 400;
  bool stream = false;
};

/// The address of `api` at an endpoint as users write it: with its path, with "/v1", or without.
/// Throws kUsage for one with a query ("?"), which the path would end up in.
io::HttpUrl llm_url(LlmApi api, std::string_view endpoint);

io::HttpRequest llm_request(const LlmServer& server, std::string_view prompt, int64_t seed);

struct LlmReply {
  std::string text;
  std::optional<int64_t> tokens;  // that the server counted in it
  bool cut = false;               // it reached max_tokens, or a filter of the server's ended it
};

/// Reads the body of a good answer (status 200) piece by piece.
class LlmReplyReader {
 public:
  explicit LlmReplyReader(const LlmServer& server)
      : api_(server.api), stream_(server.stream), key_(server.key) {}

  /// False once the answer is complete: nothing that follows matters. Throws kFormat for what is
  /// not the protocol, and kIo for an error that the server reports within the stream.
  bool feed(std::string_view piece);
  /// Throws kFormat where the answer is not complete.
  LlmReply finish();

 private:
  void take_line(std::string_view line);
  void take(const io::Json& message);
  void take_ollama(const io::JsonView& view);
  void take_openai(const io::JsonView& view);

  LlmApi api_;
  bool stream_;
  std::string key_;      // to be kept out of errors
  std::string pending_;  // the line, or the whole, that is not complete
  bool done_ = false;    // nothing more is to come
  bool ended_ = false;   // the text is whole, though some servers send no end after it
  LlmReply reply_;
};

/// `text` with "(key)" for the key. To be called before anything is cut off: half a key is found by
/// nobody.
std::string without_key(std::string text, const std::string& key);

/// What a server says about an error, in short: the "error" of its JSON, or its first words;
/// without the key.
std::string llm_error_text(std::string_view body, const std::string& key);

}  // namespace adder::data
