#include "adder/text/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "adder/base/error.h"
#include "adder/io/file.h"
#include "adder/io/json.h"

namespace adder::text {
namespace {

constexpr int64_t kMaxFile = int64_t{16} << 20;

const std::vector<ChatTemplate>& built_in() {
  static const std::vector<ChatTemplate> all = [] {
    const auto chatml = [](const char* role) {
      return ChatRole{role, fmt::format("<|im_start|>{}\n", role), "<|im_end|>\n", {}};
    };
    const auto llama3 = [](const char* role) {
      return ChatRole{
          role, fmt::format("<|start_header_id|>{}<|end_header_id|>\n\n", role), "<|eot_id|>", {}};
    };
    std::vector<ChatTemplate> made;
    made.emplace_back("plain", "",
                      std::vector<ChatRole>{{"system", "", "\n", {}},
                                            {"user", "User: ", "\n", {}},
                                            {"assistant", "Assistant: ", "\n", {}}},
                      "Assistant:");
    made.emplace_back("chatml", "",
                      std::vector{chatml("system"), chatml("user"), chatml("assistant")},
                      "<|im_start|>assistant\n");
    made.emplace_back("llama2", "",
                      std::vector<ChatRole>{{"system", "<s>[INST] <<SYS>>\n", "\n<</SYS>>\n\n", {}},
                                            {"user", "<s>[INST] ", " [/INST]", ""},
                                            {"assistant", " ", " </s>", {}}},
                      "");
    made.emplace_back("llama3", "<|begin_of_text|>",
                      std::vector{llama3("system"), llama3("user"), llama3("assistant")},
                      "<|start_header_id|>assistant<|end_header_id|>\n\n");
    return made;
  }();
  return all;
}

/// Published Jinja texts that say the same as a built-in template.
struct Published {
  std::string_view jinja, name;
};
constexpr Published kPublished[] = {
    {"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
     "+ '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ "
     "'<|im_start|>assistant\n' }}{% endif %}",
     "chatml"},
    {"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
     "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ "
     "'<|im_start|>assistant\\n' }}{% endif %}",
     "chatml"},
};

/// A text as Jinja writes it.
std::string jinja_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      if (c == '\'' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "'";
}

/// Takes the spaces off the end of `text`. Tokenizers write a word with the space before it, so
/// that space goes with the words.
std::string take_last_spaces(std::string& text) {
  const size_t end = text.find_last_not_of(' ') + 1;
  std::string spaces = text.substr(end);
  text.resize(end);
  return spaces;
}

/// What looks like a control token in a text of a template: <...> without spaces, not <<...>>.
std::vector<std::string> controls_in(std::string_view text) {
  std::vector<std::string> found;
  for (size_t begin = text.find('<'); begin != text.npos; begin = text.find('<', begin + 1)) {
    const size_t end = text.find_first_of("<> \n", begin + 1);
    if (end == text.npos || text[end] != '>' || end == begin + 1) continue;
    const bool twice =
        (begin > 0 && text[begin - 1] == '<') || (end + 1 < text.size() && text[end + 1] == '>');
    if (!twice) found.emplace_back(text.substr(begin, end + 1 - begin));
  }
  return found;
}

ChatRole read_role(const std::string& role, const io::JsonView& view) {
  ChatRole made{role, view.at("prefix").as_string(), view.at("suffix").as_string(), {}};
  if (const auto other = view.find("prefix_after_system")) {
    made.prefix_after_system = other->as_string();
  }
  return made;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string name, std::string begin, std::vector<ChatRole> roles,
                           std::string generation_prompt)
    : name_(std::move(name)),
      begin_(std::move(begin)),
      roles_(std::move(roles)),
      generation_prompt_(std::move(generation_prompt)) {
  take_last_spaces(generation_prompt_);
}

const ChatTemplate* ChatTemplate::find(std::string_view name) {
  const auto& all = built_in();
  const auto found = std::ranges::find(all, name, &ChatTemplate::name);
  return found == all.end() ? nullptr : &*found;
}

std::vector<std::string> ChatTemplate::names() {
  std::vector<std::string> names;
  for (const ChatTemplate& chat : built_in()) names.push_back(chat.name());
  return names;
}

ChatTemplate ChatTemplate::from_json(std::string_view json, const std::string& name) {
  const io::Json value = io::parse_json(json, name, {.max_bytes = kMaxFile});
  const io::JsonView root(value, name);
  if (!value.is_object()) root.fail("an object, as in a chat_template.json");
  if (const auto jinja = root.find("chat_template")) {
    if (!jinja->json().is_string()) jinja->fail("the text of one Jinja template");
    return from_jinja(jinja->as_string(), jinja->name());
  }
  std::vector<ChatRole> roles;
  const io::JsonView list = root.at("roles");
  if (!list.json().is_object()) list.fail("an object of roles");
  for (const char* role : {"system", "user", "assistant"}) {
    if (const auto view = list.find(role)) roles.push_back(read_role(role, *view));
  }
  if (roles.size() != list.json().size()) list.fail("no roles but system, user and assistant");
  for (const char* role : {"user", "assistant"}) {
    if (!list.has(role)) list.fail("roles for user and assistant");
  }
  return ChatTemplate(root.string("name", "own"), root.string("begin", ""), std::move(roles),
                      root.at("generation_prompt").as_string());
}

ChatTemplate ChatTemplate::from_jinja(std::string_view jinja, const std::string& name) {
  for (const ChatTemplate& chat : built_in()) {
    if (chat.to_jinja() == jinja) return chat;
  }
  for (const Published& known : kPublished) {
    if (known.jinja == jinja) return *find(known.name);
  }
  throw Error(ErrorKind::kUnsupported,
              {.what = "this chat template is not known",
               .where = name,
               .why = "it is a Jinja program, and Adder runs none; it knows " +
                      fmt::format("{}", fmt::join(names(), ", ")) + " by their text",
               .next = "write a chat_template.json with the prefix and suffix of each role, or "
                       "name a built-in one"});
}

const ChatRole& ChatTemplate::role_of(const std::string& role) const {
  const auto found = std::ranges::find(roles_, role, &ChatRole::role);
  if (found != roles_.end()) return *found;
  std::vector<std::string> known;
  for (const ChatRole& each : roles_) known.push_back(each.role);
  throw Error(ErrorKind::kUsage,
              {.what = fmt::format("the chat template {} has no role \"{}\"", name_, role),
               .next = fmt::format("one of {}", fmt::join(known, ", "))});
}

std::vector<ChatPiece> ChatTemplate::pieces(std::span<const ChatMessage> messages,
                                            bool add_generation_prompt) const {
  std::vector<ChatPiece> pieces;
  const auto put = [&](const std::string& text, bool control, bool answer) {
    if (!text.empty()) pieces.push_back({text, control, answer});
  };
  put(begin_, true, false);
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    const ChatRole& role = role_of(message.role);
    const bool after_system = i > 0 && messages[i - 1].role == "system";
    const bool answer = message.role == "assistant";
    std::string prefix =
        after_system && role.prefix_after_system ? *role.prefix_after_system : role.prefix;
    const std::string space = take_last_spaces(prefix);
    put(prefix, true, false);
    put(space + message.content, false, answer);
    put(role.suffix, true, answer);
  }
  if (add_generation_prompt) put(generation_prompt_, true, false);
  return pieces;
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages,
                                 bool add_generation_prompt) const {
  std::string text;
  for (const ChatPiece& piece : pieces(messages, add_generation_prompt)) text += piece.text;
  return text;
}

std::vector<std::string> ChatTemplate::frame() const {
  std::vector<std::string> texts = {begin_, generation_prompt_};
  for (const ChatRole& role : roles_) {
    texts.insert(texts.end(), {role.prefix, role.suffix, role.prefix_after_system.value_or("")});
  }
  return texts;
}

std::vector<std::string> ChatTemplate::missing_controls(const Tokenizer& tokenizer) const {
  std::set<std::string> missing;
  for (const std::string& text : frame()) {
    for (const std::string& control : controls_in(text)) {
      if (!tokenizer.id_of(control)) missing.insert(control);
    }
  }
  return {missing.begin(), missing.end()};
}

EncodedChat ChatTemplate::encode(std::span<const ChatPiece> pieces,
                                 const Tokenizer& tokenizer) const {
  EncodedChat chat;
  const std::vector<std::string> texts = frame();
  EncodeOptions options;
  for (const ChatPiece& piece : pieces) {
    options.specials = piece.control ? Specials::kParsed : Specials::kAsText;
    options.plain_in = piece.control ? std::span<const std::string>() : texts;
    const auto ids = tokenizer.encode(piece.text, options);
    chat.ids.insert(chat.ids.end(), ids.begin(), ids.end());
    chat.answer.resize(chat.ids.size(), piece.answer);
    if (ids.empty()) continue;
    options.before = tokenizer.is_added(ids.back()) ? Before::kToken : Before::kText;
  }
  const auto bos = tokenizer.bos_id();
  if (bos && (chat.ids.empty() || chat.ids.front() != *bos)) {
    chat.ids.insert(chat.ids.begin(), *bos);
    chat.answer.insert(chat.answer.begin(), 0);
  }
  return chat;
}

EncodedChat ChatTemplate::encode(std::span<const ChatMessage> messages, const Tokenizer& tokenizer,
                                 bool add_generation_prompt) const {
  EncodedChat chat = encode(pieces(messages, add_generation_prompt), tokenizer);
  const auto eos = tokenizer.eos_id();
  if (add_generation_prompt || !eos) return chat;
  if (!messages.empty()) {
    const auto end = tokenizer.encode(role_of(messages.back().role).suffix,
                                      EncodeOptions{.specials = Specials::kParsed});
    if (std::ranges::find(end, *eos) != end.end()) return chat;
  }
  chat.ids.push_back(*eos);
  chat.answer.push_back(!messages.empty() && messages.back().role == "assistant");
  return chat;
}

std::string ChatTemplate::answer_end() const {
  return role_of("assistant").suffix;
}

std::string ChatTemplate::to_json() const {
  io::Json roles = io::Json::object();
  for (const ChatRole& role : roles_) {
    roles[role.role] = {{"prefix", role.prefix}, {"suffix", role.suffix}};
    if (role.prefix_after_system) {
      roles[role.role]["prefix_after_system"] = *role.prefix_after_system;
    }
  }
  const io::Json root = {{"name", name_},
                         {"begin", begin_},
                         {"roles", std::move(roles)},
                         {"generation_prompt", generation_prompt_}};
  return root.dump(2) + "\n";
}

std::string ChatTemplate::to_jinja() const {
  std::string out;
  if (!begin_.empty()) out += "{{ " + jinja_text(begin_) + " }}";
  out += "{% for message in messages %}";
  const char* branch = "if";
  for (const ChatRole& role : roles_) {
    std::string prefix = jinja_text(role.prefix);
    if (role.prefix_after_system) {
      prefix = fmt::format(
          "({} if not loop.first and messages[loop.index0 - 1]['role'] == 'system' else {})",
          jinja_text(*role.prefix_after_system), prefix);
    }
    out += fmt::format("{{% {} message['role'] == {} %}}{{{{ {} + message['content'] + {} }}}}",
                       branch, jinja_text(role.role), prefix, jinja_text(role.suffix));
    branch = "elif";
  }
  out += "{% else %}{{ raise_exception('unknown role ' + message['role']) }}{% endif %}";
  out += "{% endfor %}";
  if (!generation_prompt_.empty()) {
    out += "{% if add_generation_prompt %}{{ " + jinja_text(generation_prompt_) + " }}{% endif %}";
  }
  return out;
}

ChatTemplate load_chat_template(const std::string& name_or_path) {
  namespace fs = std::filesystem;
  if (const ChatTemplate* known = ChatTemplate::find(name_or_path)) return *known;
  const fs::path path = name_or_path;
  const auto read = [](const fs::path& file) {
    const std::string text = io::read_file(file, kMaxFile);
    if (file.extension() == ".jinja") return ChatTemplate::from_jinja(text, file.string());
    return ChatTemplate::from_json(text, file.string());
  };
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    if (fs::exists(path, ignored)) return read(path);
    throw Error(ErrorKind::kNotFound,
                {.what = "there is no such chat template",
                 .where = name_or_path,
                 .next = fmt::format("{}, a chat_template.json, or a model folder",
                                     fmt::join(ChatTemplate::names(), ", "))});
  }
  for (const char* name : {"chat_template.json", "chat_template.jinja"}) {
    if (fs::exists(path / name, ignored)) return read(path / name);
  }
  const fs::path config = path / "tokenizer_config.json";
  if (fs::exists(config, ignored)) {
    const io::Json value = io::read_json_file(config);
    if (const auto jinja = io::JsonView(value, config.string()).find("chat_template")) {
      return ChatTemplate::from_jinja(jinja->as_string(), jinja->name());
    }
  }
  throw Error(ErrorKind::kNotFound, {.what = "the folder holds no chat template",
                                     .where = name_or_path,
                                     .why = "there is no chat_template.json in it"});
}

}  // namespace adder::text
