#include "adder/data/make_tokenizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "adder/base/error.h"
#include "adder/text/bpe_trainer.h"
#include "adder/text/byte_tokenizer.h"
#include "adder/text/char_tokenizer.h"
#include "adder/text/utf8.h"
#include "adder/text/word_counter.h"

namespace adder::data {
namespace {

std::unique_ptr<text::Tokenizer> learn_characters(CorpusReader& reader, const Corpora& corpora) {
  std::set<char32_t> characters;
  int64_t documents = 0;
  reader.begin_phase("reading", corpora.all_files());
  std::string
      texts;  // small documents together: a call of collect_characters() costs a millisecond
  const auto add = [&](const TextPiece& piece) {
    texts += piece.text;
    documents += piece.last ? 1 : 0;
    if (texts.size() < kPieceBytes) return;
    text::collect_characters(texts, characters);
    texts.clear();
  };
  for (const Corpus& corpus : corpora.text) reader.for_each_text(corpus, Take::kAll, add);
  if (!corpora.held_out.empty()) reader.for_each_text(corpora.held_out, Take::kAll, add);
  text::collect_characters(texts, characters);
  text::CharVocabulary vocabulary{.characters = {characters.begin(), characters.end()},
                                  .eos = documents > 1};
  return std::make_unique<text::CharTokenizer>(std::move(vocabulary));
}

/// Bytes of the texts that are trained on.
int64_t count_bytes(CorpusReader& reader, const Corpus& corpus) {
  int64_t bytes = 0;
  reader.for_each_text(corpus, Take::kTrained, [&](const TextPiece& piece) {
    bytes += static_cast<int64_t>(piece.text.size());
  });
  return bytes;
}

/// The first `size` bytes of the next part of a document, whose rest is held out.
void show(text::BpeTrainer& trainer, const TextPiece& piece, size_t size) {
  trainer.add(piece.text.substr(0, size), piece.last || size < piece.text.size());
}
void show(text::WordCounter& counter, const TextPiece& piece, size_t size) {
  const bool cut = size < piece.text.size();
  const bool in_word = cut && piece.text[size] != ' ' && piece.text[size] != '\n';
  counter.add(piece.text.substr(0, size), (piece.last || cut) && !in_word);
  if (in_word) counter.cut();
}

/// Shows `learner` the first `bytes` of what is trained on.
template <typename Learner>
void learn_beginning(Learner& learner, CorpusReader& reader, const Corpus& corpus, int64_t bytes) {
  reader.for_each_text(corpus, Take::kTrained, [&](const TextPiece& piece) {
    const size_t wanted = std::min(piece.text.size(), static_cast<size_t>(bytes));
    const size_t size = wanted == 0 ? 0 : text::code_point_boundary(piece.text, wanted);
    show(learner, piece, size);
    bytes -= std::min(bytes, static_cast<int64_t>(size));
  });
}

/// Shows `learner` all that is trained on and nothing that is held out.
template <typename Learner>
void learn_trained(Learner& learner, CorpusReader& reader, const Corpora& corpora,
                   const DataOptions& data) {
  reader.hold_out(corpora.held_out);
  const double tail = tail_share(data);
  const auto once = corpora.text_files();
  auto files = once;
  if (tail > 0) files.insert(files.end(), once.begin(), once.end());  // counted first
  reader.begin_phase("reading", files);
  for (const Corpus& corpus : corpora.text) {
    const auto bytes = tail > 0 ? static_cast<double>(count_bytes(reader, corpus)) * (1 - tail)
                                : static_cast<double>(INT64_MAX / 2);
    learn_beginning(learner, reader, corpus, static_cast<int64_t>(bytes));
  }
}

/// The control tokens that a vocabulary gets for the chat template.
std::vector<std::string> controls_of(const CorpusReader& reader) {
  if (reader.chat() == nullptr) return {};
  return reader.chat()->missing_controls(text::ByteTokenizer());
}

std::unique_ptr<text::Tokenizer> learn_bpe(CorpusReader& reader, const Corpora& corpora,
                                           const DataOptions& data,
                                           const ProgressCallback& progress) {
  text::BpeTrainerOptions options{.vocab_size = data.vocab_size, .specials = controls_of(reader)};
  if (progress) {
    options.progress = [&](int64_t done, int64_t total) {
      progress("learning tokens", done, total);
    };
  }
  text::BpeTrainer trainer(std::move(options));
  learn_trained(trainer, reader, corpora, data);
  return trainer.train();
}

std::unique_ptr<text::Tokenizer> learn_words(CorpusReader& reader, const Corpora& corpora,
                                             const DataOptions& data) {
  text::WordCounter counter(data.word, controls_of(reader));
  learn_trained(counter, reader, corpora, data);
  return std::make_unique<text::WordTokenizer>(counter.make());
}

std::unique_ptr<text::Tokenizer> load_named(const std::string& name) {
  if (std::filesystem::exists(name)) return text::load_tokenizer(name);
  throw Error(
      ErrorKind::kNotFound,
      {.what = fmt::format("there is no tokenizer \"{}\"", name),
       .where = "data.tokenizer",
       .why = "it is no kind of tokenizer, and no file or folder of that name is there",
       .next = "give \"char\", \"bpe\", \"word\", \"byte\", or the path of a tokenizer.json "
               "or model folder"});
}

}  // namespace

bool learnt_from_text(const std::string& tokenizer) {
  return tokenizer == "char" || tokenizer == "bpe" || tokenizer == "word";
}

std::shared_ptr<const text::Tokenizer> make_tokenizer(const DataOptions& options,
                                                      const ProgressCallback& progress) {
  if (const auto shards = shard_folder(options)) return text::load_tokenizer(*shards);
  if (options.tokenizer == "byte") return std::make_shared<const text::ByteTokenizer>();
  if (!learnt_from_text(options.tokenizer)) return load_named(options.tokenizer);
  const Corpora corpora = list_corpora(options);
  CorpusReader reader(options, progress);
  if (options.tokenizer == "char") return learn_characters(reader, corpora);
  if (options.tokenizer == "word") return learn_words(reader, corpora, options);
  return learn_bpe(reader, corpora, options, progress);
}

std::shared_ptr<const text::Tokenizer> extend_tokenizer(const text::WordTokenizer& old,
                                                        const DataOptions& options,
                                                        const ProgressCallback& progress) {
  if (const auto made = shard_folder(options)) {
    throw Error(ErrorKind::kConfig, {.what = "token shards have no words of their own",
                                     .where = made->string(),
                                     .why = "a vocabulary is extended from text",
                                     .next = "name the text files in data.text"});
  }
  const Corpora corpora = list_corpora(options);
  CorpusReader reader(options, progress);
  text::WordOptions word = options.word;
  word.fold_case = old.vocabulary().options().fold_case;
  text::WordCounter counter(word);
  learn_trained(counter, reader, corpora, options);
  return std::make_shared<const text::WordTokenizer>(counter.extend(old.vocabulary()));
}

std::string tokenizer_note(const DataOptions& options, const text::ChatTemplate* chat,
                           const text::Tokenizer& tokenizer) {
  std::string note;
  if (chat != nullptr) {
    const auto missing = chat->missing_controls(tokenizer);
    if (!missing.empty()) {
      note = fmt::format(
          "the tokenizer has no control tokens {} of the chat template: they are spelt in letters, "
          "so a text that spells them too can pretend to be another role",
          fmt::join(missing, ", "));
    }
  }
  if (options.tokenizer == "bpe" && tokenizer.vocab_size() < options.vocab_size) {
    note += fmt::format(
        "{}{} tokens were asked for, {} were learnt: no pair of tokens is left that "
        "the text has twice",
        note.empty() ? "" : "; ", options.vocab_size, tokenizer.vocab_size());
  }
  return note;
}

}  // namespace adder::data
