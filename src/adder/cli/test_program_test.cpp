#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "adder/base/error.h"
#include "adder/cli/test_program.h"
#include "adder/io/npy.h"
#include "adder/model/directory.h"
#include "adder/text/byte_tokenizer.h"

extern char** environ;

namespace adder::cli {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (auto& word : words) list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

/// `out_fd` < 0: stdout goes to a file and is read back.
Finished spawn(std::vector<std::string> words, const std::string& input,
               std::vector<std::string> environment, int out_fd) {
  const TestFolder folder;
  folder.put("in", input);
  words.insert(words.begin(), ADDER_PROGRAM);
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, (folder / "in").c_str(), O_RDONLY, 0);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC;
  if (out_fd >= 0) {
    posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
  } else {
    posix_spawn_file_actions_addopen(&actions, 1, (folder / "out").c_str(), flags, 0600);
  }
  posix_spawn_file_actions_addopen(&actions, 2, (folder / "err").c_str(), flags, 0600);
  pid_t child = 0;
  const int failed = posix_spawn(&child, ADDER_PROGRAM, &actions, nullptr, pointers(words).data(),
                                 pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw Error(ErrorKind::kIo, {.what = "cannot start", .where = ADDER_PROGRAM});
  int status = 0;
  waitpid(child, &status, 0);
  Finished result;
  if (WIFEXITED(status)) result.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  result.out = slurp(folder / "out");
  result.err = slurp(folder / "err");
  return result;
}

}  // namespace

Finished run_adder(const std::vector<std::string>& words, const std::string& input,
                   const std::vector<std::string>& environment) {
  return spawn(words, input, environment, -1);
}

Finished run_adder_unread(const std::vector<std::string>& words) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error(ErrorKind::kIo, {.what = "no pipe"});
  close(ends[0]);
  auto result = spawn(words, "", {}, ends[1]);
  close(ends[1]);
  return result;
}

TestFolder::TestFolder() {
  std::string name = (fs::temp_directory_path() / "adder-cli-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw Error(ErrorKind::kIo, {.what = "no folder"});
  path_ = name;
}

TestFolder::~TestFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string TestFolder::put(const std::string& name, const std::string& content) const {
  fs::create_directories((path_ / name).parent_path());
  std::ofstream(path_ / name, std::ios::binary) << content;
  return (path_ / name).string();
}

void write_ids(const std::string& file, const std::vector<int32_t>& ids) {
  const int64_t shape[] = {static_cast<int64_t>(ids.size())};
  io::write_npy(file, DType::i32, shape, std::as_bytes(std::span(ids)));
}

void make_model(const std::string& folder, bool zero) {
  model::ModelConfig config;
  config.vocab_size = 257;
  config.d_model = 16;
  config.n_layer = 2;
  for (const auto& entry : flatten(config)) {
    if (entry.key == "mamba2.d_state") set_from_text(entry, "8");
    if (entry.key == "mamba2.head_dim") set_from_text(entry, "8");
  }
  std::map<std::string, std::vector<float>> values;
  model::Weights weights;
  for (const auto& spec : model::tensor_specs(config)) {
    auto& data = values[spec.name];
    data.assign(static_cast<std::size_t>(model::element_count(spec.shape)), 0.0f);
    if (!zero) model::initialise(spec, 1, data.data());
    weights[spec.name] = {data.data(), DType::f32, spec.shape};
  }
  fs::create_directories(folder);
  model::save_model(folder, config, weights);
  text::ByteTokenizer().save(fs::path(folder) / "tokenizer.json");
}

}  // namespace adder::cli
