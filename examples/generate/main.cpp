// Continues a prompt with a model directory that Adder (or Hugging Face transformers) wrote:
//   ./generate MODEL_DIRECTORY "Once upon a time"
#include <cstdio>

#include "adder/base/error.h"
#include "adder/base/thread_pool.h"
#include "adder/infer/generate.h"
#include "adder/infer/model.h"
#include "adder/model/directory.h"
#include "adder/text/tokenizer.h"

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s MODEL_DIRECTORY PROMPT\n", argv[0]);
    return 2;
  }
  const auto directory = adder::model::ModelDirectory::open(argv[1]);  // weights stay memory-mapped
  const auto tokenizer = adder::text::load_tokenizer(argv[1]);
  const adder::ThreadPool pool;
  adder::infer::Model model(directory.config(), directory.weights(), pool);

  adder::infer::State state = model.new_state();  // a copy of it is a snapshot
  adder::infer::GenerateOptions options;
  options.max_new_tokens = 200;
  options.sampler.temperature = 0.8;
  const auto print = [](std::optional<int32_t>, std::string_view piece) {
    return std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size();
  };
  adder::infer::Generator(model, *tokenizer).run(tokenizer->encode(argv[2]), state, options, print);
  std::puts("");
} catch (const adder::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return adder::exit_code(error.kind());
}
