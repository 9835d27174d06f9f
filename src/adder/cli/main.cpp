#include "adder/cli/line_editor.h"
#include "adder/cli/program.h"

int main(int argc, char** argv) {
  adder::cli::set_line_editor(&adder::cli::make_line_editor);
  return adder::cli::run_program(argc, argv);
}
