#include "adder/data/make_tokenizer.h"

#include <set>

#include "adder/text/bpe_trainer.h"
#include "adder/text/byte_tokenizer.h"
#include "adder/text/char_tokenizer.h"

namespace adder::data {
namespace {

std::unique_ptr<text::Tokenizer> learn_characters(CorpusReader& reader, const Corpora& corpora) {
  std::set<char32_t> characters;
  int64_t documents = 0;
  const auto files = corpora.all_files();
  reader.begin_phase("reading", files);
  std::string
      texts;  // small documents together: a call of collect_characters() costs a millisecond
  reader.for_each_text(files, Take::kAll, [&](const TextPiece& piece) {
    texts += piece.text;
    documents += piece.last ? 1 : 0;
    if (texts.size() < kPieceBytes) return;
    text::collect_characters(texts, characters);
    texts.clear();
  });
  text::collect_characters(texts, characters);
  text::CharVocabulary vocabulary{.characters = {characters.begin(), characters.end()},
                                  .eos = documents > 1};
  return std::make_unique<text::CharTokenizer>(std::move(vocabulary));
}

std::unique_ptr<text::Tokenizer> learn_bpe(CorpusReader& reader, const Corpora& corpora,
                                           int64_t vocab_size, const ProgressCallback& progress) {
  text::BpeTrainerOptions options{.vocab_size = vocab_size};
  if (progress) {
    options.progress = [&](int64_t done, int64_t total) {
      progress("learning tokens", done, total);
    };
  }
  text::BpeTrainer trainer(std::move(options));
  const auto files = corpora.text_files();
  reader.begin_phase("reading", files);
  reader.for_each_text(files, Take::kTrained,
                       [&](const TextPiece& piece) { trainer.add(piece.text); });
  return trainer.train();
}

}  // namespace

bool learnt_from_text(const std::string& tokenizer) {
  return tokenizer == "char" || tokenizer == "bpe";
}

std::shared_ptr<const text::Tokenizer> make_tokenizer(const DataOptions& options,
                                                      const ProgressCallback& progress) {
  if (options.tokenizer == "byte") return std::make_shared<const text::ByteTokenizer>();
  if (!learnt_from_text(options.tokenizer)) return text::load_tokenizer(options.tokenizer);
  const Corpora corpora = list_corpora(options);
  CorpusReader reader(options, progress);
  if (options.tokenizer == "char") return learn_characters(reader, corpora);
  return learn_bpe(reader, corpora, options.vocab_size, progress);
}

}  // namespace adder::data
