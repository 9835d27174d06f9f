# The parts that Adder does not write (design: one well-kept library each). Everything but libc,
# libstdc++, zlib and zstd is linked statically or is header-only.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(ZLIB REQUIRED)

function(adder_static_part name header archive)
  find_path(${name}_INCLUDE ${header} REQUIRED)
  find_library(${name}_ARCHIVE ${archive} REQUIRED)
  add_library(adder::${name} INTERFACE IMPORTED)
  target_include_directories(adder::${name} INTERFACE ${${name}_INCLUDE})
  target_link_libraries(adder::${name} INTERFACE ${${name}_ARCHIVE})
endfunction()
adder_static_part(xxhash xxhash.h libxxhash.a)
adder_static_part(utf8proc utf8proc.h libutf8proc.a)
adder_static_part(pcre2 pcre2.h libpcre2-8.a)
adder_static_part(zstd zstd.h libzstd.so)

# The distribution's own target would link its shared library; only the headers are wanted.
find_path(tomlplusplus_INCLUDE toml++/toml.h REQUIRED)
add_library(adder::tomlplusplus INTERFACE IMPORTED)
target_include_directories(adder::tomlplusplus INTERFACE ${tomlplusplus_INCLUDE})

if(ADDER_TESTS)
  enable_testing()
  find_package(GTest REQUIRED)
endif()
