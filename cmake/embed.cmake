# k8_embed(<target> <namespace> FILES <files> [BASE <dir>]): compiles real files into the executable (through the assembler's
# .incbin) behind one function, `std::span<const EmbeddedFile> <namespace>::files()`, sorted by path relative to BASE.
function(k8_embed target ns)
  cmake_parse_arguments(E "" "BASE" "FILES;DEPENDS" ${ARGN})
  set(asm "${CMAKE_BINARY_DIR}/embed/${target}.S")
  set(cpp "${CMAKE_BINARY_DIR}/embed/${target}.cpp")
  set(asm_text ".section .rodata.k8_embed_${target},\"a\",@progbits\n")
  set(decl "")
  set(rows "")
  set(i 0)
  foreach(f ${E_FILES})
    cmake_path(RELATIVE_PATH f BASE_DIRECTORY ${E_BASE} OUTPUT_VARIABLE rel)
    set(s "k8_embed_${target}_${i}")
    string(APPEND asm_text ".global ${s}\n.global ${s}_end\n.hidden ${s}\n.hidden ${s}_end\n.balign 16\n${s}:\n.incbin \"${f}\"\n${s}_end:\n.byte 0\n")
    string(APPEND decl "extern \"C\" const char ${s}[], ${s}_end[];\n")
    string(APPEND rows "    {\"${rel}\", {${s}, static_cast<size_t>(${s}_end - ${s})}},\n")
    math(EXPR i "${i}+1")
  endforeach()
  string(APPEND asm_text ".section .note.GNU-stack,\"\",@progbits\n")
  file(CONFIGURE OUTPUT ${asm} CONTENT "${asm_text}" @ONLY)
  file(CONFIGURE OUTPUT ${cpp} CONTENT "#include \"base/embedded.h\"
${decl}
namespace ${ns} {
std::span<const k8lite::EmbeddedFile> files() {
  static const k8lite::EmbeddedFile rows[] = {
${rows}  };
  return rows;
}
}
" @ONLY)
  set_source_files_properties(${asm} PROPERTIES OBJECT_DEPENDS "${E_FILES};${E_DEPENDS}" LANGUAGE ASM)
  add_library(${target} STATIC ${asm} ${cpp})
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/src)
endfunction()

file(GLOB K8_SCHEMA_FILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/embedded/schema/*)
if(K8_SCHEMA_FILES)
  k8_embed(k8_embedded_schema k8lite::embedded_schema FILES ${K8_SCHEMA_FILES} BASE ${CMAKE_SOURCE_DIR}/embedded/schema)
else()
  add_library(k8_embedded_schema INTERFACE)
endif()
file(GLOB K8_RULE_FILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/embedded/rules/*)
k8_embed(k8_embedded_rules k8lite::embedded_rules FILES ${K8_RULE_FILES} BASE ${CMAKE_SOURCE_DIR}/embedded/rules)
file(GLOB K8_MANIFEST_FILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/embedded/manifests/*)
if(K8_MANIFEST_FILES)
  k8_embed(k8_embedded_manifests k8lite::embedded_manifests FILES ${K8_MANIFEST_FILES} BASE ${CMAKE_SOURCE_DIR}/embedded/manifests)
endif()
# What fields mean: all files in one, compressed.
file(GLOB K8_DOC_FILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/embedded/docs/*.txt)
set(K8_DOCS ${CMAKE_BINARY_DIR}/embed/docs.txt.gz)
add_custom_command(OUTPUT ${K8_DOCS} COMMAND cat ${K8_DOC_FILES} | gzip -9nc > ${K8_DOCS} DEPENDS ${K8_DOC_FILES} VERBATIM)
k8_embed(k8_embedded_docs k8lite::embedded_docs FILES ${K8_DOCS} BASE ${CMAKE_BINARY_DIR}/embed)
