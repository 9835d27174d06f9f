#include "adder/data/corpus_reader.h"

#include "adder/base/error.h"
#include "adder/data/conversations.h"
#include "adder/data/inputs.h"
#include "adder/data/unescape.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"

namespace adder::data {
namespace {

std::string separator_of(const DataOptions& options) {
  try {
    return unescape(options.separator);
  } catch (const Error& error) {
    throw error.within("data.separator");
  }
}

/// Whether document `number` (0 for the first) is one of those that do not count.
bool is_beyond(const Corpus& corpus, int64_t number) {
  return corpus.max_documents > 0 && number >= corpus.max_documents;
}

}  // namespace

CorpusReader::CorpusReader(const DataOptions& options, ProgressCallback progress)
    : documents_{.separator = separator_of(options), .field = options.field},
      val_documents_(options.val_documents),
      progress_(std::move(progress)) {
  if (!options.chat_template.empty()) {
    chat_ =
        std::make_shared<const text::ChatTemplate>(text::load_chat_template(options.chat_template));
  }
}

void CorpusReader::begin_phase(std::string_view phase, const Files& files) {
  phase_ = phase;
  done_ = 0;
  total_ = files_size(files);
}

void CorpusReader::hold_out(const Files& files) {
  if (files.empty()) return;
  begin_phase("held-out text", files);
  for_each_text(files, Take::kAll, [&](const TextPiece& piece) {
    if (piece.first) held_out_.insert(io::hash128_hex(io::as_bytes(piece.text)));
  });
}

bool CorpusReader::asks_text(Take take) const {
  return take != Take::kAll && (val_documents_ > 0 || !held_out_.empty());
}

bool CorpusReader::takes(std::string_view first_piece, Take take) {
  if (!asks_text(take)) return take != Take::kHeldOut;
  if (take == Take::kTrained && !held_out_.empty() &&
      held_out_.count(io::hash128_hex(io::as_bytes(first_piece))) > 0) {
    ++copies_left_out_;
    return false;
  }
  return is_held_out(first_piece, val_documents_) == (take == Take::kHeldOut);
}

void CorpusReader::tell(int64_t bytes_read) const {
  if (progress_) progress_(phase_, done_ + bytes_read, total_);
}

template <typename Visit>
void CorpusReader::for_each_conversation(const Corpus& corpus, Take take, bool want_text,
                                         Visit visit) {
  ConversationStream stream(corpus.files);
  Conversation conversation;
  for (int64_t number = 0; !is_beyond(corpus, number) && stream.next(conversation); ++number) {
    try {
      const std::string text =
          want_text || asks_text(take) ? chat_->render(conversation) : std::string();
      if (takes(text, take)) visit(conversation, text);
    } catch (const Error& error) {
      throw error.within(stream.place());
    }
    tell(stream.bytes_read());
  }
  done_ += stream.bytes_total();
  if (corpus.max_documents > 0) tell(0);  // of what was passed over
}

void CorpusReader::for_each_text(const Corpus& corpus, Take take,
                                 const std::function<void(const TextPiece&)>& visit) {
  if (chat_) {
    for_each_conversation(corpus, take, true, [&](const auto&, std::string_view text) {
      visit({.text = text, .first = true, .last = true});
    });
    return;
  }
  auto stream = DocumentStream::of_files(corpus.files, documents_);
  TextPiece piece;
  bool taken = true;
  int64_t documents = 0;  // read to their ends
  while (!is_beyond(corpus, documents) && stream.next(piece)) {
    documents += piece.last ? 1 : 0;
    if (piece.first) taken = takes(piece.text, take);
    try {
      if (taken) visit(piece);
    } catch (const Error& error) {
      throw error.within(stream.place());
    }
    tell(stream.bytes_read());
  }
  done_ += stream.bytes_total();
  if (corpus.max_documents > 0) tell(0);  // of what was passed over
}

int64_t CorpusReader::encode(const Corpus& corpus, Take take, const text::Tokenizer& tokenizer,
                             ShardWriter& writer) {
  int64_t documents = 0;
  if (chat_) {
    for_each_conversation(corpus, take, false, [&](const Conversation& conversation, const auto&) {
      const text::EncodedChat chat = chat_->encode(conversation, tokenizer);
      writer.add_document(chat.ids, chat.answer);
      for (const auto& message : conversation) left_out_.add(tokenizer.dropped(message.content));
      ++documents;
    });
  } else {
    for_each_text(corpus, take, [&](const TextPiece& piece) {
      writer.add_text(piece);
      documents += piece.last ? 1 : 0;
    });
    left_out_.add(writer.take_left_out().list());
  }
  return documents;
}

}  // namespace adder::data
