#include "api/cli/completion.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace gyre {
namespace {

struct Word {
  std::string text;
  std::string about;
};

struct Level {
  std::string path;  // "gyre table"
  std::vector<Word> subcommands;
  std::vector<Word> options;  // its own and those of the levels above
};

void Collect(const CLI::App& app, const std::string& path, const std::vector<Word>& inherited,
             std::vector<Level>& levels) {
  Level level{path, {}, inherited};
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      if (path == levels[0].path || name != "help") {
        level.options.push_back({"--" + name, option->get_description()});
      }
    }
  }
  for (const CLI::App* sub : app.get_subcommands(nullptr)) {
    level.subcommands.push_back({sub->get_name(), sub->get_description()});
  }
  const size_t at = levels.size();
  levels.push_back(std::move(level));
  for (const CLI::App* sub : app.get_subcommands(nullptr)) {
    // `levels` grows underneath; take what is needed by value.
    const std::vector<Word> options = levels[at].options;
    Collect(*sub, path + " " + sub->get_name(), options, levels);
  }
}

std::vector<Level> LevelsOf(const CLI::App& app) {
  std::vector<Level> levels;
  levels.reserve(64);
  levels.push_back({app.get_name(), {}, {}});
  Collect(app, app.get_name(), {}, levels);
  levels.erase(levels.begin());
  return levels;
}

// The words so far, walked from command to subcommand.
std::string Walk(const std::vector<Level>& levels) {
  std::string cases;
  for (const Level& level : levels) {
    for (const Word& sub : level.subcommands) {
      const std::string to = absl::StrCat(level.path, " ", sub.text);
      absl::StrAppend(&cases, "      '", to, "') at='", to, "' ;;\n");
    }
  }
  return cases;
}

std::string Texts(const std::vector<Word>& words) {
  return absl::StrJoin(words, " ", [](std::string* out, const Word& word) { *out += word.text; });
}

}  // namespace

std::string BashCompletion(const CLI::App& app) {
  const std::vector<Level> levels = LevelsOf(app);
  std::string script = absl::StrCat(
      "# bash completion of gyre. Load it with:  source <(gyre completion bash)\n"
      "_gyre() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} at=gyre subs= opts= word\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case \"$at $word\" in\n",
      Walk(levels),
      "    esac\n"
      "  done\n"
      "  case \"$at\" in\n");
  for (const Level& level : levels) {
    absl::StrAppend(&script, "    '", level.path, "') subs='", Texts(level.subcommands), "' opts='",
                    Texts(level.options), "' ;;\n");
  }
  absl::StrAppend(&script,
                  "  esac\n"
                  "  if [[ $cur == -* ]]; then\n"
                  "    COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
                  "  else\n"
                  "    COMPREPLY=($(compgen -W \"$subs\" -- \"$cur\"))\n"
                  "  fi\n"
                  "}\n"
                  "complete -o default -F _gyre gyre\n");
  return script;
}

std::string ZshCompletion(const CLI::App& app) {
  const std::vector<Level> levels = LevelsOf(app);
  // _describe splits a word from its description at the first colon that is not escaped.
  const auto quoted = [](std::string* out, const Word& word) {
    const std::string about = absl::StrReplaceAll(word.about, {{"'", "'\\''"}, {"\n", " "}});
    absl::StrAppend(out, "'", word.text, ":", about, "'");
  };
  std::string script = absl::StrCat(
      "#compdef gyre\n"
      "# zsh completion of gyre. Load it with:  source <(gyre completion zsh)\n"
      "_gyre() {\n"
      "  local at=gyre word\n"
      "  local -a subs opts\n"
      "  for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
      "    case \"$at $word\" in\n",
      Walk(levels),
      "    esac\n"
      "  done\n"
      "  case \"$at\" in\n");
  for (const Level& level : levels) {
    absl::StrAppend(&script, "    '", level.path, "')\n      subs=(",
                    absl::StrJoin(level.subcommands, " ", quoted), ")\n      opts=(",
                    absl::StrJoin(level.options, " ", quoted), ") ;;\n");
  }
  absl::StrAppend(&script,
                  "  esac\n"
                  "  if [[ ${words[CURRENT]} == -* ]]; then\n"
                  "    _describe -o 'option' opts\n"
                  "  elif (( $#subs )); then\n"
                  "    _describe 'command' subs\n"
                  "  else\n"
                  "    _files\n"
                  "  fi\n"
                  "}\n"
                  "compdef _gyre gyre\n");
  return script;
}

}  // namespace gyre
