// The lint rule of the hot path: code that runs for each record makes nothing that the garbage
// collector must find again. Cold code in the same folders says so by its name.
import type { Rule } from 'eslint';

/** A function so named runs at start or when a container changes, never for a record. */
const COLD_NAME = /^(create|compile|describe|open|parse)([A-Z]|$)/;

const FUNCTION_TYPES = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

const MESSAGE =
  'The hot path makes no {{what}}. Move it to module level, a constructor, or a function named ' +
  'create*, compile*, describe*, open* or parse* that no record reaches.';

interface SyntaxNode {
  readonly type: string;
  readonly parent?: SyntaxNode | null;
  readonly kind?: string;
  readonly id?: { readonly name?: string } | null;
  readonly key?: { readonly name?: string };
  readonly value?: { readonly type: string } | null;
  readonly callee?: { readonly property?: { readonly name?: string } };
}

function nameOf(node: SyntaxNode): string {
  const holder = node.parent;
  if (node.id?.name !== undefined) return node.id.name;
  return holder?.key?.name ?? holder?.id?.name ?? '';
}

function isConstructor(node: SyntaxNode): boolean {
  return node.parent?.type === 'MethodDefinition' && node.parent.kind === 'constructor';
}

/** A message to the main thread must be an object; there is one for a request or a scope, not for a record. */
function isPost(node: SyntaxNode): boolean {
  return node.type === 'CallExpression' && node.callee?.property?.name === 'post';
}

/** Module level, constructors, fields, functions named as cold, messages, and the making of an error that ends the run. */
function isCold(node: SyntaxNode): boolean {
  let isInFunction = false;
  for (let at = node.parent; at; at = at.parent) {
    if (at.type === 'ThrowStatement' || isPost(at)) return true;
    if (at.type === 'PropertyDefinition' && !FUNCTION_TYPES.has(at.value?.type ?? '')) return true;
    if (!FUNCTION_TYPES.has(at.type)) continue;
    if (isConstructor(at) || COLD_NAME.test(nameOf(at))) return true;
    isInFunction = true;
  }
  return !isInFunction;
}

/** Reports whatever allocates, or walks by an iterator, in a function that isn't cold. */
export const hotPathRule: Rule.RuleModule = {
  meta: { type: 'problem', schema: [], messages: { hot: MESSAGE } },
  create(context) {
    function forbid(what: string) {
      return (node: unknown): void => {
        if (isCold(node as SyntaxNode)) return;
        context.report({ node: node as Rule.Node, messageId: 'hot', data: { what } });
      };
    }
    return {
      NewExpression: forbid('new object'),
      ObjectExpression: forbid('object literal'),
      ArrayExpression: forbid('array literal'),
      ArrowFunctionExpression: forbid('closure'),
      ':not(MethodDefinition) > FunctionExpression': forbid('closure'),
      'FunctionDeclaration FunctionDeclaration': forbid('closure'),
      SpreadElement: forbid('spread'),
      'TemplateLiteral[expressions.length>0]': forbid('template string'),
      'Literal[bigint]': forbid('BigInt'),
      'CallExpression[callee.name="BigInt"]': forbid('BigInt'),
      ForOfStatement: forbid('for…of'),
      ForInStatement: forbid('for…in'),
      TryStatement: forbid('try'),
      'CallExpression[callee.property.name=/^(subarray|slice)$/]': forbid('subarray or slice'),
    };
  },
};
