# Compiler flags of the whole house: one set, so that objects and precompiled parts are shared.
add_library(adder_flags INTERFACE)
target_compile_options(adder_flags INTERFACE
  -Wall -Wextra -Wno-missing-field-initializers
  -fstack-protector-strong -fno-math-errno -ffp-contract=off -fvisibility-inlines-hidden)
target_compile_definitions(adder_flags INTERFACE _GLIBCXX_ASSERTIONS
  $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
target_include_directories(adder_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)

# What kernels/cpu is compiled with; sanitized code is slow to optimise and is there to be checked, not fast.
set(ADDER_KERNEL_OPTIMISATION -O3)
if(ADDER_SANITIZE)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1 -DNDEBUG")
  set(ADDER_KERNEL_OPTIMISATION -O1)
  target_compile_options(adder_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
                         -fno-omit-frame-pointer -U_FORTIFY_SOURCE -g1)
  target_link_options(adder_flags INTERFACE -fsanitize=address,undefined)
endif()

find_program(ADDER_CCACHE ccache)
if(ADDER_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${ADDER_CCACHE})
endif()
