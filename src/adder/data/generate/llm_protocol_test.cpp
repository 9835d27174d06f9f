#include "adder/data/generate/llm_protocol.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"
#include "adder/data/test_folder.h"

namespace adder::data {
namespace {

LlmServer server_of(LlmApi api, bool stream) {
  return {.api = api,
          .url = llm_url(api, "http://127.0.0.1:1"),
          .model = "m",
          .system = "be brief",
          .key = "k",
          .temperature = 0.5,
          .max_tokens = 7,
          .stream = stream};
}

std::string path_of(LlmApi api, const std::string& endpoint) {
  return llm_url(api, endpoint).target;
}

TEST(LlmProtocol, FindsThePathOfAnEndpoint) {
  EXPECT_EQ(path_of(LlmApi::kOllamaGenerate, "http://h:1"), "/api/generate");
  EXPECT_EQ(path_of(LlmApi::kOllamaChat, "http://h:1/"), "/api/chat");
  EXPECT_EQ(path_of(LlmApi::kOllamaChat, "http://h:1/api/chat"), "/api/chat");
  EXPECT_EQ(path_of(LlmApi::kOpenAiChat, "https://h"), "/v1/chat/completions");
  EXPECT_EQ(path_of(LlmApi::kOpenAiChat, "https://h/v1/"), "/v1/chat/completions");
  EXPECT_EQ(path_of(LlmApi::kOpenAiChat, "https://h/v1/chat/completions"), "/v1/chat/completions");
  EXPECT_EQ(path_of(LlmApi::kOpenAiChat, "https://h/proxy"), "/proxy/v1/chat/completions");
}

TEST(LlmProtocol, AsksAsTheApisSay) {
  const auto ollama = llm_request(server_of(LlmApi::kOllamaGenerate, false), "hi \"you\"", 3);
  EXPECT_EQ(io::parse_json(ollama.body, ""),
            io::parse_json(R"({"model": "m", "prompt": "hi \"you\"", "system": "be brief",
              "stream": false, "options": {"temperature": 0.5, "num_predict": 7, "seed": 3}})",
                           ""));
  const auto chat = llm_request(server_of(LlmApi::kOllamaChat, true), "hi", 3);
  EXPECT_EQ(io::parse_json(chat.body, ""),
            io::parse_json(R"({"model": "m", "messages": [{"role": "system", "content": "be brief"},
              {"role": "user", "content": "hi"}], "stream": true,
              "options": {"temperature": 0.5, "num_predict": 7, "seed": 3}})",
                           ""));
  const auto openai = llm_request(server_of(LlmApi::kOpenAiChat, true), "hi", 3);
  EXPECT_EQ(io::parse_json(openai.body, ""),
            io::parse_json(R"({"model": "m", "messages": [{"role": "system", "content": "be brief"},
              {"role": "user", "content": "hi"}], "stream": true, "temperature": 0.5,
              "max_tokens": 7, "seed": 3, "stream_options": {"include_usage": true}})",
                           ""));
  const std::pair<std::string, std::string> bearer = {"Authorization", "Bearer k"};
  EXPECT_EQ(openai.fields.at(1), bearer);
  EXPECT_EQ(openai.body.find("Bearer"), std::string::npos);
}

struct Answer {
  LlmApi api;
  bool stream;
  const char* body;
};

const Answer kWhole[] = {
    {LlmApi::kOllamaGenerate, false,
     R"({"model":"m","response":"One fox.","done":true,"done_reason":"stop","eval_count":4})"},
    {LlmApi::kOllamaChat, false,
     R"({"message":{"role":"assistant","content":"One fox."},"done":true,"eval_count":4})"},
    {LlmApi::kOpenAiChat, false,
     R"({"choices":[{"message":{"role":"assistant","content":"One fox."},"finish_reason":"stop"}],
         "usage":{"completion_tokens":4}})"},
    {LlmApi::kOllamaGenerate, true,
     "{\"response\":\"One\",\"done\":false}\n{\"response\":\" fox.\",\"done\":false}\n"
     "{\"response\":\"\",\"done\":true,\"eval_count\":4}\n"},
    {LlmApi::kOllamaChat, true,
     "{\"message\":{\"content\":\"One\"},\"done\":false}\n\n"
     "{\"message\":{\"content\":\" fox.\"},\"done\":true,\"eval_count\":4}"},
    {LlmApi::kOpenAiChat, true,
     ": keep alive\r\n\r\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\r\n\r\n"
     "data: {\"choices\":[{\"delta\":{\"content\":\"One\"}}]}\n\n"
     "data:{\"choices\":[{\"delta\":{\"content\":\" fox.\"},\"finish_reason\":\"stop\"}]}\n\n"
     "data: {\"choices\":[],\"usage\":{\"completion_tokens\":4}}\n\ndata: [DONE]\n\n"}};

TEST(LlmProtocol, ReadsAnswersWhateverTheirPieces) {
  for (const Answer& answer : kWhole) {
    const std::string body = answer.body;
    for (const size_t size : {size_t{1}, size_t{7}, body.size()}) {
      LlmReplyReader reader(server_of(answer.api, answer.stream));
      for (size_t at = 0; at < body.size(); at += size) {
        if (!reader.feed(std::string_view(body).substr(at, size))) break;
      }
      const LlmReply reply = reader.finish();
      EXPECT_EQ(reply.text, "One fox.") << body;
      EXPECT_EQ(reply.tokens, 4) << body;
      EXPECT_FALSE(reply.cut);
    }
  }
}

TEST(LlmProtocol, AnAnswerThatIsNotWholeIsRefused) {
  for (const Answer& answer : kWhole) {
    const std::string body = answer.body;
    const size_t most = body.find(answer.stream ? "fox" : "}");
    for (size_t size = 0; size < most; ++size) {
      LlmReplyReader reader(server_of(answer.api, answer.stream));
      EXPECT_NE(error_of([&] {
                  reader.feed(std::string_view(body).substr(0, size));
                  reader.finish();
                }),
                "")
          << body.substr(0, size);
    }
  }
}

TEST(LlmProtocol, KnowsATextThatWasCut) {
  LlmReplyReader ollama(server_of(LlmApi::kOllamaGenerate, false));
  ollama.feed(R"({"response":"One f","done":true,"done_reason":"length"})");
  EXPECT_TRUE(ollama.finish().cut);
  LlmReplyReader filtered(server_of(LlmApi::kOpenAiChat, false));
  filtered.feed(
      R"({"choices":[{"message":{"content":"One f"},"finish_reason":"content_filter"}]})");
  EXPECT_TRUE(filtered.finish().cut);
  LlmReplyReader openai(server_of(LlmApi::kOpenAiChat, true));
  openai.feed(
      "data: {\"choices\":[{\"delta\":{\"content\":\"One f\"},\"finish_reason\":"
      "\"length\"}]}\n\n");  // and no [DONE]
  const LlmReply reply = openai.finish();
  EXPECT_TRUE(reply.cut);
  EXPECT_EQ(reply.tokens, std::nullopt);
}

TEST(LlmProtocol, ErrorsWithinAStreamAreErrors) {
  LlmReplyReader reader(server_of(LlmApi::kOllamaGenerate, true));
  const std::string said = error_of([&] { reader.feed("{\"error\":\"no room left\"}\n"); });
  EXPECT_NE(said.find("no room left"), std::string::npos) << said;
}

TEST(LlmProtocol, OddAnswersAreRefused) {
  for (const char* body :
       {"[]", "3", "{}", "{\"response\":5,\"done\":true}", "<html></html>",
        "{\"response\":\"x\",\"done\":\"yes\"}",
        "{\"response\":\"x\",\"done\":true,\"eval_count\":-1}",
        "{\"response\":\"x\",\"done\":true,\"eval_count\":9000000000000000000}"}) {
    LlmReplyReader reader(server_of(LlmApi::kOllamaGenerate, false));
    EXPECT_NE(error_of([&] {
                reader.feed(body);
                reader.finish();
              }),
              "")
        << body;
  }
  for (const char* body : {"{}", "{\"choices\":{}}", "{\"choices\":[]}", "{\"choices\":[4]}"}) {
    LlmReplyReader reader(server_of(LlmApi::kOpenAiChat, false));
    EXPECT_NE(error_of([&] {
                reader.feed(body);
                reader.finish();
              }),
              "")
        << body;
  }
}

TEST(LlmProtocol, ErrorTextIsShortAndPrintable) {
  EXPECT_EQ(llm_error_text(R"({"error":{"message":"no such model","code":1}})", ""),
            "no such model");
  EXPECT_EQ(llm_error_text(R"({"error":"full"})", ""), "full");
  EXPECT_EQ(llm_error_text("<h1>Bad\nGateway</h1>", ""), "<h1>Bad Gateway</h1>");
  EXPECT_EQ(llm_error_text("\x1b[2J", "").find('\x1b'), std::string::npos);
  EXPECT_LT(llm_error_text(std::string(100000, 'x'), "").size(), 400u);
}

TEST(LlmProtocol, AnErrorsTextIsCutBehindTheKeyNotInIt) {
  const std::string key = "sk-nobody-may-see-this";
  for (const std::string& before : {std::string(290, 'x'), std::string(299, 'x')}) {
    const std::string escaped = "sk\\u002dnobody-may-see-this";
    for (const std::string& body : {before + key, "{\"error\":\"" + before + key + "\"}",
                                    "{\"error\":{\"message\":\"" + before + escaped + "\"}}"}) {
      const std::string said = llm_error_text(body, key);
      EXPECT_EQ(said.find("sk"), std::string::npos) << said;
    }
    LlmServer server = server_of(LlmApi::kOllamaGenerate, true);
    server.key = key;
    LlmReplyReader reader(server);
    const std::string said =
        error_of([&] { reader.feed("{\"error\":\"" + before + key + "\"}\n"); });
    EXPECT_NE(said.find("xxx"), std::string::npos);
    EXPECT_EQ(said.find("sk"), std::string::npos) << said;
  }
}

TEST(LlmProtocol, AnAddressWithAQueryIsRefused) {
  EXPECT_NE(error_of([&] { path_of(LlmApi::kOpenAiChat, "https://h/v1?key=secret"); }), "");
}

}  // namespace
}  // namespace adder::data
