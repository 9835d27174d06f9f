#include "adder/cli/program.h"

int main(int argc, char** argv) {
  return adder::cli::run_program(argc, argv);
}
