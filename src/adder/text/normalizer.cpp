#include "adder/text/normalizer.h"

#include <map>

#include "adder/base/error.h"

namespace adder::text {

void throw_unknown_part(const io::JsonView& part, const std::string& what) {
  throw Error(ErrorKind::kUnsupported,
              {.what = "the tokenizer asks for what Adder does not do",
               .where = part.name(),
               .why = what,
               .next = "encode the text elsewhere and give the token ids"});
}

std::shared_ptr<const Pattern> read_pattern(const io::JsonView& part) {
  const io::JsonView pattern = part.at("pattern");
  if (const auto text = pattern.find("String")) {
    if (text->as_string().empty()) throw_unknown_part(*text, "it is empty");
    return std::make_shared<Pattern>(Pattern::literal(text->as_string()));
  }
  const io::JsonView regex = pattern.at("Regex");
  return std::make_shared<Pattern>(regex.as_string(), regex.name());
}

Normalizer Normalizer::from_json(const io::JsonView& part) {
  Normalizer made;
  made.add(part);
  return made;
}

void Normalizer::add(const io::JsonView& part) {
  static const std::map<std::string, NormalForm> forms = {{"NFC", NormalForm::kC},
                                                          {"NFD", NormalForm::kD},
                                                          {"NFKC", NormalForm::kKc},
                                                          {"NFKD", NormalForm::kKd}};
  const std::string type = part.at("type").as_string();
  if (const auto form = forms.find(type); form != forms.end()) {
    steps_.emplace_back(form->second);
  } else if (type == "Sequence") {
    for (const io::JsonView& inner : part.at("normalizers").items()) add(inner);
  } else if (type == "Prepend") {
    steps_.emplace_back(Prepend{part.at("prepend").as_string()});
  } else if (type == "Replace") {
    steps_.emplace_back(Replace{read_pattern(part), part.at("content").as_string()});
  } else {
    throw_unknown_part(part, "a normalizer of the type " + type);
  }
}

std::string_view Normalizer::apply(std::string_view text, std::string& buffer,
                                   bool continues) const {
  std::string next;
  const auto keep = [&] {
    std::swap(buffer, next);
    return std::string_view(buffer);
  };
  for (const Step& step : steps_) {
    next.clear();
    if (const auto* form = std::get_if<NormalForm>(&step)) {
      const std::string_view changed = normal_form(text, *form, next);
      if (changed.data() == next.data()) text = keep();
    } else if (const auto* prepend = std::get_if<Prepend>(&step)) {
      if (text.empty() || continues) continue;
      next = prepend->text;
      next += text;
      text = keep();
    } else {
      const auto& replace = std::get<Replace>(step);
      size_t done = 0;
      replace.pattern->for_each_match(text, [&](size_t begin, size_t end) {
        next += text.substr(done, begin - done);
        next += replace.content;
        done = end;
      });
      next += text.substr(done);
      text = keep();
    }
  }
  return text;
}

bool Normalizer::keeps_ascii() const {
  return empty() || (steps_.size() == 1 && std::holds_alternative<NormalForm>(steps_[0]) &&
                     std::get<NormalForm>(steps_[0]) == NormalForm::kC);
}

bool Normalizer::only_marks_spaces(std::string_view mark) const {
  bool marks = false;
  for (const Step& step : steps_) {
    if (std::holds_alternative<Prepend>(step)) continue;
    const auto* replace = std::get_if<Replace>(&step);
    if (replace == nullptr || replace->content != mark || !replace->pattern->is_literal(" ")) {
      return false;
    }
    marks = true;
  }
  return marks;
}

}  // namespace adder::text
