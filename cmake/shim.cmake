# The small programs that run in pods, built static and stripped, then embedded gzipped: the shim (with container init) and the echo server.
# Nothing of the big executable's libraries is in them.
function(k8_small_program target)
  cmake_parse_arguments(S "" "OUT" "SOURCES" ${ARGN})
  add_executable(${target} ${S_SOURCES})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_compile_options(${target} PRIVATE -Os -fno-exceptions -fno-rtti -fno-sanitize=all -fno-pie)
  target_link_options(${target} PRIVATE -static -fno-sanitize=all -Wl,-z,max-page-size=65536)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  add_custom_command(OUTPUT ${S_OUT} COMMAND ${CMAKE_STRIP} -o ${S_OUT}.elf $<TARGET_FILE:${target}>
    COMMAND gzip -9nc ${S_OUT}.elf > ${S_OUT} DEPENDS ${target} VERBATIM)
endfunction()

file(GLOB shim_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/shim/*.cpp)
k8_small_program(k8_shim_elf SOURCES ${shim_sources} OUT ${CMAKE_BINARY_DIR}/embed/k8lite-shim.gz)
k8_embed(k8_embedded_shim k8lite::embedded_shim FILES ${CMAKE_BINARY_DIR}/embed/k8lite-shim.gz BASE ${CMAKE_BINARY_DIR}/embed)
if(EXISTS ${CMAKE_SOURCE_DIR}/src/echo)
  file(GLOB echo_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/echo/*.cpp)
  k8_small_program(k8_echo_elf SOURCES ${echo_sources} OUT ${CMAKE_BINARY_DIR}/embed/echoserver.gz)
  k8_embed(k8_embedded_echo k8lite::embedded_echo FILES ${CMAKE_BINARY_DIR}/embed/echoserver.gz BASE ${CMAKE_BINARY_DIR}/embed)
endif()
