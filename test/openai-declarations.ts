import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/** Names of the members of a type that the openai client declares: fields of an interface, methods of a class. */
export function declaredMembers(file: string, path: string): string[] {
  const location = join(import.meta.dirname, `../node_modules/openai/resources/${file}.d.ts`);
  const source = ts.createSourceFile(location, readFileSync(location, 'utf8'), ts.ScriptTarget.Latest);
  const names = path.split('.');
  const found: string[] = [];
  const search = (node: ts.Node, depth: number): void => {
    ts.forEachChild(node, (child) => {
      const name = (child as ts.Node & { name?: ts.Identifier }).name?.text;
      if (name !== names[depth]) {
        if (ts.isModuleBlock(child)) search(child, depth);
        return;
      }
      const last = depth === names.length - 1;
      if (last && (ts.isInterfaceDeclaration(child) || ts.isClassDeclaration(child))) {
        for (const member of child.members) {
          if (ts.isPropertySignature(member) || ts.isMethodDeclaration(member)) found.push(member.name.getText(source));
        }
      }
      if (!last && ts.isModuleDeclaration(child)) search(child, depth + 1);
    });
  };
  search(source, 0);
  return [...new Set(found)];
}
