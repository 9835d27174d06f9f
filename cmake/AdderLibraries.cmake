# libadder.so: every room above the LibTorch line, in one copy; bin/adder is a thin program on it.
add_library(adder SHARED)
adder_link_rooms(adder room_infer room_data)
set_target_properties(adder PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0 BUILD_RPATH "$ORIGIN" INSTALL_RPATH "$ORIGIN")
