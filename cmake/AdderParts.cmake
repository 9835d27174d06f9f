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
# Line editing, of bin/adder alone: libbsd.a carries symbol versions that no other shared library may.
adder_static_part(bsd bsd/bsd.h libbsd.a)
adder_static_part(tinfo term.h libtinfo.a)
adder_static_part(libedit histedit.h libedit.a)
target_link_libraries(adder::libedit INTERFACE adder::bsd adder::tinfo)
adder_static_part(crypto openssl/crypto.h libcrypto.a)
adder_static_part(tls openssl/ssl.h libssl.a)
# Nobody else in the process shall meet our copies of OpenSSL and Boost: Python brings its own.
target_link_libraries(adder::tls INTERFACE adder::crypto)
target_link_options(adder::tls INTERFACE LINKER:--exclude-libs,libssl.a:libcrypto.a)

# Headers alone: Beast and Asio need no library of Boost's.
find_path(beast_INCLUDE boost/beast/http.hpp REQUIRED)
add_library(adder::beast INTERFACE IMPORTED)
target_include_directories(adder::beast INTERFACE ${beast_INCLUDE})
target_link_options(adder::beast INTERFACE LINKER:--version-script=${CMAKE_CURRENT_LIST_DIR}/hidden_symbols.map)

# The distribution's own target would link its shared library; only the headers are wanted.
find_path(tomlplusplus_INCLUDE toml++/toml.h REQUIRED)
add_library(adder::tomlplusplus INTERFACE IMPORTED)
target_include_directories(adder::tomlplusplus INTERFACE ${tomlplusplus_INCLUDE})

if(ADDER_TESTS)
  enable_testing()
  find_package(GTest REQUIRED)
endif()
