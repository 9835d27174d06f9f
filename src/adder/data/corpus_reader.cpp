#include "adder/data/corpus_reader.h"

#include "adder/base/error.h"
#include "adder/data/conversations.h"
#include "adder/data/unescape.h"
#include "adder/io/byte_stream.h"

namespace adder::data {

CorpusReader::CorpusReader(const DataOptions& options, ProgressCallback progress)
    : documents_{.separator = unescape(options.separator), .field = options.field},
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
  total_ = 0;
  for (const auto& file : files) total_ += io::ByteStream(file).file_bytes();
}

bool CorpusReader::takes(std::string_view first_piece, Take take) const {
  if (take == Take::kAll) return true;
  return is_held_out(first_piece, val_documents_) == (take == Take::kHeldOut);
}

void CorpusReader::tell(int64_t bytes_read) const {
  if (progress_) progress_(phase_, done_ + bytes_read, total_);
}

template <typename Visit>
void CorpusReader::for_each_conversation(const Files& files, Take take, Visit visit) {
  ConversationStream stream(files);
  Conversation conversation;
  while (stream.next(conversation)) {
    try {
      const std::string text = chat_->render(conversation);
      if (takes(text, take)) visit(conversation, text);
    } catch (const Error& error) {
      throw error.within(stream.place());
    }
    tell(stream.bytes_read());
  }
  done_ += stream.bytes_total();
}

void CorpusReader::for_each_text(const Files& files, Take take,
                                 const std::function<void(const TextPiece&)>& visit) {
  if (chat_) {
    for_each_conversation(files, take, [&](const auto&, std::string_view text) {
      visit({.text = text, .first = true, .last = true});
    });
    return;
  }
  auto stream = DocumentStream::of_files(files, documents_);
  TextPiece piece;
  bool taken = true;
  while (stream.next(piece)) {
    if (piece.first) taken = takes(piece.text, take);
    try {
      if (taken) visit(piece);
    } catch (const Error& error) {
      throw error.within(stream.place());
    }
    tell(stream.bytes_read());
  }
  done_ += stream.bytes_total();
}

int64_t CorpusReader::encode(const Files& files, Take take, const text::Tokenizer& tokenizer,
                             ShardWriter& writer) {
  int64_t documents = 0;
  if (chat_) {
    for_each_conversation(files, take, [&](const Conversation& conversation, const auto&) {
      const text::EncodedChat chat = chat_->encode(conversation, tokenizer);
      writer.add_document(chat.ids, chat.answer);
      ++documents;
    });
  } else {
    for_each_text(files, take, [&](const TextPiece& piece) {
      writer.add_text(piece);
      documents += piece.last ? 1 : 0;
    });
  }
  return documents;
}

}  // namespace adder::data
