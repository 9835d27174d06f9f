// Where Adder's other libraries are: beside the one that asks.
#pragma once

#include <string>

namespace adder {

/// The path of library `name` beside the library that holds `symbol`; or, where it is not there and
/// a program in bin/ holds the symbol, in the lib/ next to it. The name alone where the system does
/// not say who holds it.
std::string library_beside(const void* symbol, const std::string& name);

}  // namespace adder
